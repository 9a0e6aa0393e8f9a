"""REST: the application, its schema, and the middleware in front of it."""
