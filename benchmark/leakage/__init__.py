"""Anatomy of an inflated score: the winner once more, with the mistakes that papers make.

The command `anatomy` alone leads here. Nothing that is made here can enter a leaderboard: it has
folders, a format and a page of its own.
"""
