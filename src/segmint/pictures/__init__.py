"""Everything that draws for people."""
