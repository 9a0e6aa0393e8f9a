"""Leakage ablation: a selected model is run again with the data leaks that papers have.

Only the command `leakage` uses this package. Its scores never enter a leaderboard: they have their
own folders, format and page.
"""
