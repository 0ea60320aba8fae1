"""Which layers a request means, on the layouts of real UNets."""

from collections.abc import Sequence

import pytest
from diffusers.models.attention_processor import Attention

from segmint.attention import EVERYWHERE, AffinityRequest, MapRequest, Part
from segmint.backbone.families.unet import UNetLayer
from segmint.backbone.family import select

MODULE = Attention(query_dim=4, heads=1, dim_head=4)


def layers(*places: tuple[Part, int]) -> tuple[UNetLayer, ...]:
    return tuple(
        UNetLayer(
            name=f"{part}.{level}.{kind}",
            module=MODULE,
            part=part,
            kind=kind,
            level=level,
        )
        for part, level in places
        for kind in ("self", "cross")
    )


SD = layers(
    ("encoder", 0),
    ("encoder", 1),
    ("encoder", 2),
    ("middle", 3),
    ("decoder", 2),
    ("decoder", 1),
    ("decoder", 0),
)
SDXL = layers(("encoder", 1), ("bottom", 2), ("middle", 2), ("decoder", 2), ("decoder", 1))
TOYBOX = layers(
    ("encoder", 0),
    ("encoder", 1),
    ("bottom", 2),
    ("middle", 2),
    ("decoder", 2),
    ("decoder", 1),
    ("decoder", 0),
)
PROMPT = MapRequest(parts=("encoder", "bottom", "decoder"), least_side=9)


def places(found: Sequence[UNetLayer]) -> list[str]:
    return [each.name.rsplit(".", 1)[0] for each in found]


def test_ovam_leaves_the_last_down_block_out() -> None:
    assert places(select(SDXL, "cross", MapRequest())) == ["encoder.1", "decoder.2", "decoder.1"]
    assert places(select(SD, "cross", MapRequest()))[:3] == ["encoder.0", "encoder.1", "encoder.2"]


def test_daam_leaves_grids_of_eight_out() -> None:
    assert places(select(SDXL, "cross", PROMPT, (128, 128))) == [
        "encoder.1",
        "bottom.2",
        "decoder.2",
        "decoder.1",
    ]
    assert places(select(TOYBOX, "cross", PROMPT, (32, 32))) == [
        "encoder.0",
        "encoder.1",
        "decoder.1",
        "decoder.0",
    ]
    named = MapRequest(layers=("bottom.*",), least_side=9)
    assert places(select(TOYBOX, "cross", named, (32, 32))) == ["bottom.2"]


@pytest.mark.parametrize(
    ("model", "latent", "coarse", "fine"),
    [(SD, (64, 64), 2, 1), (SD, (48, 96), 2, 1), (SDXL, (128, 128), 2, 2), (TOYBOX, (32, 32), 1, 0)],
)
def test_grids_are_told_by_their_side(
    model: tuple[UNetLayer, ...], latent: tuple[int, int], coarse: int, fine: int
) -> None:
    found = select(model, "cross", MapRequest(parts=EVERYWHERE, side=16), latent)
    assert {layer.level for layer in found} == {coarse}
    near = select(model, "self", AffinityRequest(side=32), latent)
    assert {layer.level for layer in near} == {fine}
