"""MLflow: runs of studies, saved views, model cards and the model registry.

MLflow is for viewing. The sources of truth are the storage of trials and the stored results, so a
study does not depend on the MLflow server: records that could not be logged are logged once the
server is back, or when the study is run again.
"""
