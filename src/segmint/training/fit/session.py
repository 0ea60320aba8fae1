"""The moving parts of a training, and how they are written down and taken up again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.optim import Optimizer

from segmint.devices import find_device
from segmint.errors import TrainingError
from segmint.recipe import changed_fields
from segmint.training.data.inspection import TrainingData
from segmint.training.data.loading import Portions
from segmint.training.fit import checkpoint
from segmint.training.fit.checkpoint import LAST, Facts, Weights
from segmint.training.fit.model import build, load_backbone
from segmint.training.fit.optim import RunningMean, make_optimiser
from segmint.training.settings import TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best validation so far."""

    mean_iou: float | None = None
    iteration: int = 0
    weights: Weights = "raw"


@dataclass(slots=True, kw_only=True)
class Session:
    """A training in progress."""

    settings: TrainSettings
    out: Path
    classes: tuple[str, ...]
    digest: str
    accelerator: Accelerator
    model: nn.Module
    """Prepared by accelerate: wrapped where there are several devices."""
    bare_model: nn.Module
    """The same network, unwrapped."""
    optimiser: Optimizer
    mean: RunningMean | None
    portions: Portions
    iteration: int = 0
    """Iterations done."""
    best: Best

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return torch.device(self.accelerator.device)

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return bool(self.accelerator.is_main_process)

    def level_statistics(self) -> None:
        """Give every process the first one's batch statistics; GPUs share them as they arise."""
        if self.portions.world > 1 and self.device.type != "cuda":
            for buffer in self.bare_model.buffers():
                broadcast(buffer)

    def mean_over_processes(self, value: float) -> float:
        """A figure of this process as the mean over all of them."""
        if self.portions.world == 1:
            return value
        shared: Tensor = self.accelerator.reduce(torch.tensor(value, device=self.device), "mean")
        return shared.item()

    def facts(self, **more: Any) -> Facts:
        """What a checkpoint of now says about itself."""
        return Facts(
            architecture=self.settings.network.architecture,
            classes=self.classes,
            iteration=self.iteration,
            digest=self.digest,
            settings=self.settings.model_dump(mode="json"),
            **more,
        )

    def weights(self) -> dict[Weights, dict[str, Tensor]]:
        """The trained weights, and their running mean where it is kept."""
        found: dict[Weights, dict[str, Tensor]] = {"raw": dict(self.bare_model.state_dict())}
        if self.mean is not None:
            found["ema"] = self.mean.values
        return found


def open_session(
    data: TrainingData, out: Path, settings: TrainSettings, *, device: str, resuming: bool = False
) -> Session:
    """A training at its beginning.

    Args:
        data: what it learns from and is judged on.
        out: its folder.
        settings: its settings.
        device: where to run.
        resuming: the weights will be replaced by a checkpoint's, so that no backbone has to be fetched.
    """
    accelerator = _accelerator(settings, device)
    classes = data.train.data.classes
    network = settings.network
    model = build(network.architecture, num_labels=len(classes) + 1, auxiliary=network.auxiliary)
    if not resuming:
        load_backbone(model, network)
    model = model.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    mean = RunningMean(model, decay=settings.schedule.ema_decay) if settings.schedule.ema else None
    prepared, optimiser = accelerator.prepare(model, make_optimiser(model, settings.optimiser))
    _seed_dropout(settings.schedule.seed, accelerator.process_index)
    return Session(
        settings=settings,
        out=out,
        classes=classes,
        digest=settings.digest(data.fingerprint()),
        accelerator=accelerator,
        model=prepared.train(),
        bare_model=model,
        optimiser=optimiser,
        mean=mean,
        portions=Portions(
            batch_size=settings.schedule.batch_size,
            accumulate=settings.schedule.accumulate,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        ),
        best=Best(),
    )


@contextmanager
def holding(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Lend the network other weights, to be validated; its own come back exactly."""
    own = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(dict(weights))
    try:
        yield
    finally:
        model.load_state_dict(own)


def save_last(session: Session) -> None:
    """Write everything that is needed to go on.

    Raises:
        StorageError: it could not be written; the one before is whole.
    """
    if session.leads:
        kept, plain = checkpoint.pack_optimiser(session.optimiser.state_dict())
        states, plain_states = checkpoint.random_states()
        tensors = {
            f"{kind}.{name}": value
            for kind, each in session.weights().items()
            for name, value in each.items()
        }
        tensors |= {f"optimiser.{name}": value for name, value in kept.items()}
        tensors |= {f"random.{name}": value for name, value in states.items()}
        scaler = session.accelerator.scaler
        progress = {
            "optimiser": plain,
            "random": plain_states,
            "scaler": scaler.state_dict() if scaler else None,
            "best": asdict(session.best),
        }
        checkpoint.save(session.out / LAST, tensors, session.facts(progress=progress))
    session.accelerator.wait_for_everyone()


def reload(session: Session) -> None:
    """Take up the last checkpoint.

    Raises:
        TrainingError: it is damaged, or of another training; names what differs.
    """
    path = session.out / LAST
    facts = checkpoint.read_facts(path)
    if facts.digest != session.digest:
        raise TrainingError(_difference(path, facts, session))
    progress = dict(facts.progress or {})
    try:
        _take_up(session, path, facts, progress)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"checkpoint {path} cannot be taken up: {reason}; remove it to begin again"
        ) from None


def _take_up(session: Session, path: Path, facts: Facts, progress: dict[str, Any]) -> None:
    session.bare_model.load_state_dict(checkpoint.read_tensors(path, prefix="raw."))
    if session.mean is not None:
        session.mean.load(checkpoint.read_tensors(path, prefix="ema."))
    kept = checkpoint.read_tensors(path, prefix="optimiser.")
    groups = session.optimiser.state_dict()["param_groups"]
    session.optimiser.load_state_dict(checkpoint.unpack_optimiser(kept, progress["optimiser"], groups))
    if session.accelerator.scaler and progress["scaler"]:
        session.accelerator.scaler.load_state_dict(progress["scaler"])
    session.iteration = facts.iteration
    session.best = Best(**progress["best"])
    if session.portions.rank == 0:
        checkpoint.restore_random_states(checkpoint.read_tensors(path, prefix="random."), progress["random"])
    else:
        _seed_dropout(session.settings.schedule.seed + facts.iteration, session.portions.rank)


def _difference(path: Path, facts: Facts, session: Session) -> str:
    changed = changed_fields(facts.settings, session.settings.model_dump(mode="json"))
    advice = "pass the same, or choose another --out"
    if facts.classes != session.classes:
        theirs, ours = ", ".join(facts.classes), ", ".join(session.classes)
        return f"{path} was trained on the classes [{theirs}]; the data have [{ours}]; choose another --out"
    if changed:
        return f"{path} was trained with other settings ({', '.join(changed)}); {advice}"
    return f"{path} was trained or validated on other items than those given now; {advice}"


def _accelerator(settings: TrainSettings, device: str) -> Accelerator:
    where = find_device(device)
    if where.index is not None:
        torch.cuda.set_device(where)  # accelerate takes the current one
    if AcceleratorState._shared_state and PartialState().num_processes == 1:
        # else a second training could not choose anew
        AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(
        cpu=where.type == "cpu",
        mixed_precision=_precision(settings.schedule.precision, where),
        gradient_accumulation_steps=settings.schedule.accumulate,
    )


def _precision(asked: str, device: torch.device) -> str:
    if asked != "auto":
        return asked
    if device.type != "cuda":
        return "no"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def _seed_dropout(seed: int, rank: int) -> None:
    if rank:  # the first process goes on from the seed that made the weights
        torch.manual_seed(seed + rank)
