"""One file a revision. Not for: anything else."""
