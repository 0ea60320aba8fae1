"""A run in the layout of another library, so that it can be taken elsewhere."""
