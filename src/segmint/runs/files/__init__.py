"""Places where a run lives, and who may write there."""
