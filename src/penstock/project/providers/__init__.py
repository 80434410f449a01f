"""Where secrets and settings come from besides `config.py`: one file for each kind of place."""
