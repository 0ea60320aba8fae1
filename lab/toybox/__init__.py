"""The training of the shipped miniature model."""
