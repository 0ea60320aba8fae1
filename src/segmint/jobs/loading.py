"""Loading a model where the work is done: this process, a spawned one, or a cluster's."""

from segmint.backbone.base import Backbone
from segmint.backbone.settings import ModelSettings


def load_on(device: str, *, settings: ModelSettings, threads: int | None = None) -> Backbone:
    """The model on a device. A `functools.partial` of this travels to other processes.

    Args:
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        settings: which model.
        threads: CPU threads of this process; None leaves torch's default, one a core.

    Raises:
        ModelError, DeviceError, ConfigError: as `segmint.backbone.loading.load`.
    """
    from segmint.backbone.loading import load

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    return load(settings, device)
