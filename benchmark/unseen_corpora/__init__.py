"""Calibration on corpora that are not in training: ECE and distance, with and without calibrator.

Only the command `unseen-corpora` uses this package. Its scores never enter a leaderboard: they have
their own folder, format and page.
"""
