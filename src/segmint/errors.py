"""Every error that segmint raises on purpose.

    SegmintError
    ├── ConfigError          a recipe, setting or flag has a value that cannot be used
    ├── VocabularyError      a class name, id, phrase or colour is missing, doubled or unknown
    ├── PromptError          a prompts file or template cannot be read or understood
    ├── ModelError           a model is missing, corrupt or of an unsupported layout
    ├── DeviceError          the device asked for is not there, or is out of memory
    ├── GenerationError      one item could not be generated (NaN latents, an all-black image)
    ├── ImageError           an image or mask file cannot be read or does not fit its partner
    ├── RunError             a run folder is missing, damaged, locked or made by another recipe
    │   ├── StorageError     the disk or object store refused a read or a write
    │   └── DamagedError     a file of a run is not as it was written
    ├── DatasetError         a dataset to train or judge on is missing, malformed or of other classes
    ├── TrainingError        training cannot start or go on (NaN loss, foreign checkpoint)
    ├── ExportError          an export target cannot be written or cannot hold the data
    └── MissingDependency    an optional extra is not installed

The command line prints the message of any of them on one line and exits with code 2. A message says what was
expected, what was found, and what to do.
"""


class SegmintError(Exception):
    """Root of all errors that are the user's, the data's or the machine's, not segmint's own."""


class ConfigError(SegmintError):
    """A recipe, setting or flag has a value that cannot be used."""


class VocabularyError(SegmintError):
    """A class name, id, phrase or colour is missing, doubled or unknown."""


class PromptError(SegmintError):
    """A prompts file or template cannot be read or understood."""


class ModelError(SegmintError):
    """A model is missing, corrupt or of an unsupported layout."""


class DeviceError(SegmintError):
    """The device asked for is not there, or is out of memory."""


class GenerationError(SegmintError):
    """One item could not be generated: NaN latents, or an all-black image from a safety filter."""


class ImageError(SegmintError):
    """An image or mask file cannot be read or does not fit its partner."""


class RunError(SegmintError):
    """A run folder is missing, damaged, locked, or made by another recipe."""


class StorageError(RunError):
    """The disk or object store refused a read or a write."""


class DamagedError(RunError):
    """A file of a run is not as it was written."""


class DatasetError(SegmintError):
    """A dataset to train or judge on is missing, malformed, or has other classes."""


class TrainingError(SegmintError):
    """Training cannot start or go on: a NaN loss, a foreign checkpoint."""


class ExportError(SegmintError):
    """An export target cannot be written, or cannot hold the data."""


class MissingDependency(SegmintError):  # noqa: N818 - named for what it says to the user
    """An optional extra is not installed."""
