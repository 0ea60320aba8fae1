"""Labelled images: read, augmented, loaded."""
