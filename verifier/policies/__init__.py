"""Policies: which requests owe which copies, read from the mesh's own configuration."""
