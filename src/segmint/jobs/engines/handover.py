"""An item seen by the model as bytes, for a mask worker on another machine; read back exactly.

safetensors: arrays as they are, and one JSON text for the rest. Nothing in it is run when it is read.
"""

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from segmint.artifacts import Affinity, DenoisingEvidence, Generation, HeadFeatures, TokenMaps
from segmint.backbone.base import Outcome
from segmint.errors import GenerationError, ImageError
from segmint.jobs.work import Seen
from segmint.plan.photos.reading import Photo
from segmint.specs import spec_from_json, spec_to_json

Arrays = dict[str, np.ndarray]


def encode_seen(seen: Seen) -> bytes:
    """An item as `decode_seen` reads it."""
    arrays: Arrays = {}
    said: dict[str, Any] = {"spec": spec_to_json(seen.spec), "attempts": seen.attempts}
    if isinstance(seen.outcome, Generation):
        said["generation"] = _put_generation(seen.outcome, arrays)
    else:
        said["failed"] = [type(seen.outcome).__name__, str(seen.outcome)]
    if seen.photo is not None:
        arrays["photo"] = seen.photo.rgb
        said["photo"] = {"notes": seen.photo.notes, "original": seen.photo.original is not None}
        if seen.photo.original is not None:
            arrays["original"] = np.frombuffer(seen.photo.original, np.uint8)
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return save(whole, metadata={"seen": json.dumps(said)})


def decode_seen(data: bytes) -> Seen:
    """The item that `encode_seen` wrote."""
    said, arrays = _metadata(data), load(data)
    photo = said.get("photo")
    return Seen(
        spec=spec_from_json(said["spec"]),
        outcome=_outcome(said, arrays),
        attempts=said["attempts"],
        photo=None
        if photo is None
        else Photo(
            rgb=arrays["photo"],
            notes=tuple(photo["notes"]),
            original=arrays["original"].tobytes() if photo["original"] else None,
        ),
    )


def _put_generation(generation: Generation, arrays: Arrays) -> dict[str, Any]:
    """What is said of a generation; its arrays go into `arrays`."""
    arrays["image"] = generation.image
    arrays |= {f"heads.{place}": each.values for place, each in enumerate(generation.heads)}
    arrays |= {f"maps.{place}": each.values for place, each in enumerate(generation.maps.values())}
    if generation.denoising is not None:
        arrays["gains"], arrays["change"] = generation.denoising.gains, generation.denoising.change
    if generation.guidance is not None:
        arrays["guidance"] = generation.guidance
    alike = {"affinity": generation.affinity, "refining": generation.refining}
    arrays |= {name: each.values for name, each in alike.items() if each is not None}
    return {
        "spec": spec_to_json(generation.spec),
        "heads": [[each.layer, each.grid] for each in generation.heads],
        "maps": [
            [name, each.tokens, each.phrases, each.phrase_tokens] for name, each in generation.maps.items()
        ],
        "denoised": None if generation.denoising is None else generation.denoising.classes,
        **{name: None if each is None else each.grid for name, each in alike.items()},
        "prompt_truncated": generation.prompt_truncated,
        "seconds": dict(generation.seconds),
    }


def _outcome(said: Mapping[str, Any], arrays: Arrays) -> Outcome | ImageError:
    if "failed" in said:
        kind, message = said["failed"]
        failure: Callable[[str], Outcome | ImageError] = (
            ImageError if kind == ImageError.__name__ else GenerationError
        )
        return failure(message)
    kept = said["generation"]
    return Generation(
        spec=spec_from_json(kept["spec"]),
        image=arrays["image"],
        heads=tuple(
            HeadFeatures(layer=layer, grid=tuple(grid), values=arrays[f"heads.{place}"])
            for place, (layer, grid) in enumerate(kept["heads"])
        ),
        maps={
            name: TokenMaps(
                tokens=tuple(tokens),
                phrases=tuple(phrases),
                phrase_tokens=tuple(map(tuple, rows)),
                values=arrays[f"maps.{place}"],
            )
            for place, (name, tokens, phrases, rows) in enumerate(kept["maps"])
        },
        denoising=None
        if kept["denoised"] is None
        else DenoisingEvidence(
            classes=tuple(kept["denoised"]), gains=arrays["gains"], change=arrays["change"]
        ),
        guidance=arrays.get("guidance"),
        affinity=_affinity(kept, arrays, "affinity"),
        refining=_affinity(kept, arrays, "refining"),
        prompt_truncated=kept["prompt_truncated"],
        seconds=kept["seconds"],
    )


def _affinity(kept: Mapping[str, Any], arrays: Arrays, name: str) -> Affinity | None:
    return None if kept[name] is None else Affinity(grid=tuple(kept[name]), values=arrays[name])


def _metadata(data: bytes) -> Any:
    """The JSON text that safetensors' reader for numpy passes over: the file begins with its header."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["seen"])
