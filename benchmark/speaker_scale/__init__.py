"""UAR by the clips that set the scale of a test speaker.

Only the command `scale-curve` uses this package. Its scores never enter a leaderboard: they have
their own folder, format and page.
"""
