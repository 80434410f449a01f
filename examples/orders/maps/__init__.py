"""The maps of this project."""
