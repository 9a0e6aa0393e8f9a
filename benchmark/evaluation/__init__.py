"""Metrics, intervals and tests, computed from predictions alone."""
