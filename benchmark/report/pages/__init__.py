"""The pages over all studies, a module each."""
