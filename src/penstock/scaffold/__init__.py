"""Drafts of projects, jobs and maps. Not for: running them (`flow`)."""
