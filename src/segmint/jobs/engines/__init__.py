"""Where the unit of work is carried out."""
