"""The long run of hostile uploads; not part of the default run."""
