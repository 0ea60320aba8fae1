"""Looking at a run: a web viewer, a report to mail, a picture of the method."""
