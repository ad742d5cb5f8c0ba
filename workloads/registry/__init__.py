"""The model registry: what was trained, from what, how good it is, and who may serve it."""
