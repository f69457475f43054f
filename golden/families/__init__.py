"""The cases of make_models.py, a file for each kind of model."""
