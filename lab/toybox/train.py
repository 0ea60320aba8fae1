"""The toybox training, from nothing to a pipeline folder: render, autoencoder, latents, UNet.

Every stage goes on from what it finds in the work folder: the same command resumes an interrupted training.
Masks are rendered nowhere in it: pictures and captions are all that the model sees.
"""

import shutil
from importlib.resources import files
from pathlib import Path

from diffusers import AutoencoderKL

from lab.toybox import dataset, diffusion, latents, oracle_training, vae, workers
from lab.toybox.plan import OraclePlan, Plan
from segmint.errors import TrainingError
from segmint.toybox import oracle
from segmint.toybox.worlds import Split, World

STAGES = ("render", "vae", "encode", "unet")
WEIGHTS_FOLDER = Path(str(files("segmint"))) / "toybox" / "weights"
"""The shipped pipeline."""


def run(plan: Plan, work: Path, *, processes: int, device: str, stages: tuple[str, ...] = STAGES) -> Path:
    """Train the toybox model.

    Args:
        plan: Sizes, rates and lengths.
        work: Folder for rendered data, checkpoints and snapshots; about 1.5 GB with the default plan.
        processes: One-thread processes that share each batch; 1 on a GPU.
        device: `cpu` or `cuda`.
        stages: Which of `STAGES` to run, in their order.

    Returns:
        The pipeline folder, `work/pipeline`.

    Raises:
        TrainingError: An unknown stage, several processes on a GPU, or a loss that is not finite.
    """
    if unknown := sorted(set(stages) - set(STAGES)):
        raise TrainingError(f"toybox training has no stage {unknown[0]!r}; there are {', '.join(STAGES)}")
    if device != "cpu" and processes != 1:
        raise TrainingError(f"toybox training on {device} takes one process, not {processes}")
    work.mkdir(parents=True, exist_ok=True)
    if "render" in stages:
        _render(plan, work, processes)
    if "vae" in stages:
        workers.launch(vae.train, (plan.vae, work), count=processes, device=device)
    if "encode" in stages:
        workers.launch(latents.encode_all, (plan.vae, work), count=processes, device=device)
    if "unet" in stages:
        workers.launch(diffusion.train, (plan.unet, work), count=processes, device=device)
    return work / "pipeline"


def install(pipeline: Path, target: Path) -> None:
    """Copy a trained pipeline over the shipped weights, keeping the model card and licence there."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(pipeline, partial)
    for name in ("README.md", "LICENSE"):
        if (target / name).exists():
            shutil.copy2(target / name, partial / name)
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)


def _render(plan: Plan, work: Path, processes: int) -> None:
    sets: tuple[tuple[str, int, bool, Split], ...] = (
        ("scenes", plan.scenes, False, "train"),
        ("close_ups", plan.close_ups, True, "train"),
        ("val_scenes", plan.val_scenes, False, "val"),
    )
    for name, count, close_up, split in sets:
        dataset.render_all(work, name, count=count, close_up=close_up, split=split, workers=processes)


def run_oracle(plan: OraclePlan, work: Path, world: World, *, install: bool) -> Path:
    """Train a world's judge; takes the autoencoder of `work/vae` for round trips, if it is there.

    Args:
        plan: Sizes and rates.
        work: The work folder of the world's model.
        world: What it is to see.
        install: Whether to put the result in the place of the shipped weights.

    Returns:
        The file with the weights.
    """
    autoencoder = AutoencoderKL.from_pretrained(work / "vae") if (work / "vae").is_dir() else None
    target = work / "oracle" / f"{world.name}.safetensors"
    found = oracle_training.train(plan, world=world, autoencoder=autoencoder, target=target)
    print(f"oracle mean IoU {found:.4f} on {plan.val_scenes} held-out renders", flush=True)
    return Path(shutil.copy2(target, oracle.WEIGHTS_FOLDER)) if install else target
