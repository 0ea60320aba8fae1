"""Existing images: finding them, naming them, and reading any of them as upright 8-bit RGB."""
