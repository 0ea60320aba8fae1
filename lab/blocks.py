"""Which blocks of a model say what is there rather than where it is, told without any labels.

    python -m lab.blocks --model FOLDER_OR_ID [--prompts 8] [--steps N]

Of each block: how much of its features a linear map of x and y explains, and how long the text's values are
beside the image's (Seg4Diff 2025: where they weigh much, words are told apart). Blocks of little place and
weighty text are the ones to name in `capture.feature_layers` and `capture.map_layers`.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import EVERYWHERE, CaptureRequest, FeatureRequest
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.family import Joint, JointLayer
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, SamplingSettings
from segmint.masks.features import condense, place_share
from segmint.masks.settings import FeatureSettings

WORDS = ("dog", "car", "sofa", "boat", "tree", "horse", "chair", "bottle")
FEATURES = CaptureRequest(features=FeatureRequest(parts=EVERYWHERE), maps=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block's shares; `text` is None where text and image do not attend jointly."""

    name: str
    place: float
    text: float | None


def weigh(
    backbone: DiffusersBackbone, specs: Sequence[PromptSpec], sampling: SamplingSettings
) -> list[Block]:
    """Every block with self-attention, in the model's order, means over images and steps."""
    texts: dict[str, list[float]] = defaultdict(list)
    places: dict[str, list[float]] = defaultdict(list)

    def hear(name: str, joint: Joint) -> None:
        text, image = (each.float().norm(dim=-1).mean() for each in (joint.text_values, joint.values))
        texts[name].append(float(text / image))

    with ExitStack() as stack:
        for layer in backbone.layers:
            if isinstance(layer, JointLayer):
                stack.callback(layer.hear_all(partial(hear, layer.name)).remove)
        drawn = [backbone.generate([spec], sampling, FEATURES)[0] for spec in specs]
    for item in drawn:
        if isinstance(item, Generation):
            for each in condense(item.heads, FeatureSettings()):
                places[each.layer].append(place_share(each.values))
    return [
        Block(
            name=name,
            place=float(np.mean(shares)),
            text=float(np.mean(texts[name])) if name in texts else None,
        )
        for name, shares in places.items()
    ]


def specs_of(count: int) -> list[PromptSpec]:
    """Plain prompts of two things each."""
    pairs = [(WORDS[at % len(WORDS)], WORDS[(at + 3) % len(WORDS)]) for at in range(count)]
    return [
        PromptSpec(
            item_id=f"{at}",
            index=at,
            prompt=f"a photo of a {one} and a {other}",
            classes=(one, other),
            label_ids=(1, 2),
            phrases=((one,), (other,)),
            seed=at,
        )
        for at, (one, other) in enumerate(pairs)
    ]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--steps", type=int)
    asked = parser.parse_args()
    found = weigh(
        load(ModelSettings(id=asked.model)), specs_of(asked.prompts), SamplingSettings(steps=asked.steps)
    )
    print(f"{'block':48} {'place':>6} {'text':>6}")
    for each in found:
        text = "–" if each.text is None else f"{each.text:.2f}"
        print(f"{each.name:48} {each.place:6.2f} {text:>6}")


if __name__ == "__main__":
    main()
