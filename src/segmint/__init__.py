"""segmint mints semantic-segmentation datasets: class names in, images with pixel masks out."""

from segmint._version import __version__

__all__ = ["__version__"]
