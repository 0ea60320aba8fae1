"""Masks from attention: pure array functions, no model and no file."""
