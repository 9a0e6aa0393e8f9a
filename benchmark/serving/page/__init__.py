"""The web page: routes, templates, script and style."""
