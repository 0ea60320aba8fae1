"""The shipped miniature: a rendered world with exact masks, a model trained on it, and its quality gate."""
