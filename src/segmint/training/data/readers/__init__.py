"""Readers of labelled images, one file a format; `open_set` picks one by the words of a command line."""
