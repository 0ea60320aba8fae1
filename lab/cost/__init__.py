"""What segmint costs on this machine: time and memory beside the plain work, and the store by its size."""
