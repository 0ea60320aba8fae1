"""Segmint's tests: a package of their own, whatever else brings one of this name."""
