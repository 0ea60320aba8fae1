"""What measures segmint and makes what it ships; not in the wheel."""
