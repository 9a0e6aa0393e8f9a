"""Pages besides those of a single study, a module each."""
