"""What diffusers and transformers say by themselves, kept back where segmint says it in its own words.

That a prompt is cut off is in the item's record and in the summary of a run; what is wrong with weights or
steps is in the error.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

LIBRARIES = (diffusers_logging, transformers_logging)


@contextmanager
def unwarned() -> Iterator[None]:
    """Without the libraries' warnings, such as of old settings that they mend by themselves."""
    loudness = [(each, each.get_verbosity()) for each in LIBRARIES]
    for each, _ in loudness:
        each.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for each, before in loudness:
            each.set_verbosity(before)


@contextmanager
def quietly() -> Iterator[None]:
    """Also without their progress bars, which last a second and clutter every command."""
    shown = [each for each in LIBRARIES if each.is_progress_bar_enabled()]
    for each in shown:
        each.disable_progress_bar()
    try:
        with unwarned():
            yield
    finally:
        for each in shown:
            each.enable_progress_bar()
