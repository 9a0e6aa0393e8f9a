"""Processes, clusters, caches, files and databases: how tasks run, independent of their subject."""
