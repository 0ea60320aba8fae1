"""Training and judging segmenters; see `train.train` and `evaluate.evaluate_model`."""
