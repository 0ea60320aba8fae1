"""How good a segmenter is."""
