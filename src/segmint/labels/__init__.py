"""What the pixels of a mask file mean: label maps as text, and masks of any kind read by them."""
