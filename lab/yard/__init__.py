"""Training of the yard's model, a small diffusion transformer, from our own renders."""
