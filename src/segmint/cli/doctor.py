"""`segmint doctor`: what this machine can do, and with which settings to begin."""
