"""Hyperparameter search: from tables to tuned and refitted models."""
