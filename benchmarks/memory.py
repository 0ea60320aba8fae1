"""Peak memory by number of denoising steps and batch: the toybox model as it is, SD 2.1 by its shapes."""
