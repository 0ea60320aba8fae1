"""What a million pairs cost on 1, 8 and 100 GPUs, from measured figures and stated assumptions."""
