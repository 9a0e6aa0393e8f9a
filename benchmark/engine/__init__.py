"""Processes, files and databases: how work is run, whatever it is."""
