"""Kill exams: every command ended at each of its changes on the disk."""
