"""Items a second into a run, and the time to see what is missing, at 1 000, 10 000 and 100 000 items."""
