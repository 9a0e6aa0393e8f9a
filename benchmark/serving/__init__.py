"""Prediction with a stored model: command line, REST, web page and MLflow's server."""
