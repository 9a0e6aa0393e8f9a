"""One predictor for the command line, REST, the page and MLflow's own server."""
