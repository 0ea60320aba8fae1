"""What can be refused before torch is loaded and a picture is read."""

from pathlib import Path

from segmint.errors import ModelError, TrainingError
from segmint.training.settings import NetworkSettings

PICKLES = (".pth", ".pt", ".bin", ".ckpt")


def check_folder(out: Path, *, resume: bool) -> None:
    """Refuse a folder that holds something else than a training to go on with.

    Raises:
        TrainingError: it is a file, or it is not empty and `resume` is off.
    """
    if out.exists() and not out.is_dir():
        raise TrainingError(f"--out {out} is a file; expected a folder")
    if not resume and out.is_dir() and any(out.iterdir()):
        raise TrainingError(
            f"{out} is not empty; pass --resume to go on with the training in it, or another --out"
        )


def check_weights(network: NetworkSettings) -> None:
    """Refuse a file of backbone weights that is not there, or that could run code.

    Raises:
        ModelError: says what to do.
    """
    if network.backbone in ("none", "imagenet"):
        return
    path = Path(network.backbone)
    if path.suffix in PICKLES:
        raise ModelError(
            f"{path} is a pickle, which can run code when it is read; convert it once, where you trust it: "
            f'python -c "import torch, safetensors.torch as s; '
            f"s.save_file(torch.load('{path.name}', weights_only=True), '{path.stem}.safetensors')\""
        )
    if not path.is_file():
        raise ModelError(
            f"--backbone {path}: expected imagenet, none, or a .safetensors file; there is no such file"
        )
