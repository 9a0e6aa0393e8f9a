"""A benchmark of speech emotion recognition: which model really works, and by how much."""

__version__ = "0.1.0"
