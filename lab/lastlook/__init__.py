"""The last look: all methods on scenes that were kept for it, with settings frozen before."""
