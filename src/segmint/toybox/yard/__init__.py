"""The yard: the second world, of small shaded scenes rendered in three dimensions with exact masks."""
