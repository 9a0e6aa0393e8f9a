"""MLflow: runs, views, the model registry and model cards."""
