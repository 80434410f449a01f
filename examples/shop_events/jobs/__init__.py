"""The jobs of this project."""
