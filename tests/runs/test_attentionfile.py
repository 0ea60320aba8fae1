import contextlib
import io
import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segmint.artifacts import Affinity, AttentionSummary, DenoisingEvidence, LayerComponents, TokenMaps
from segmint.errors import ImageError
from segmint.runs.attentionfile import decode_summary, encode_summary


def same(a: AttentionSummary, b: AttentionSummary) -> bool:
    return (
        a.grid == b.grid
        and [x.layer for x in a.components] == [x.layer for x in b.components]
        and all(np.array_equal(x.values, y.values) for x, y in zip(a.components, b.components, strict=True))
        and list(a.maps) == list(b.maps)
        and all(
            (m.tokens, m.phrases, m.phrase_tokens) == (n.tokens, n.phrases, n.phrase_tokens)
            and np.array_equal(m.values, n.values)
            for m, n in zip(a.maps.values(), b.maps.values(), strict=True)
        )
        and (a.guidance is None) == (b.guidance is None)
        and (a.guidance is None or np.array_equal(a.guidance, b.guidance))
        and (a.affinity is None) == (b.affinity is None)
        and (a.affinity is None or np.array_equal(a.affinity.values, b.affinity.values))
        and (a.refining is None) == (b.refining is None)
        and (a.refining is None or np.array_equal(a.refining.values, b.refining.values))
    )


halves = hnp.arrays(np.float16, (6, 2, 3), elements=st.floats(0, 1, width=16))
singles = hnp.arrays(np.float32, (3, 4, 6), elements=st.floats(0, 2**20, width=32))


@settings(max_examples=40, deadline=None)
@given(components=halves, maps=singles, word=st.text(min_size=1, max_size=8), near=st.booleans())
def test_summaries_come_back_exactly(components, maps, word, near):
    summary = AttentionSummary(
        grid=(4, 6),
        components=(LayerComponents(layer="up.0", values=components.astype(np.float32)),),
        maps={
            "classes": TokenMaps(
                tokens=("<SoT>", word, "<EoT>"), phrases=(word,), phrase_tokens=((1,),), values=maps
            )
        },
        guidance=maps[0] if near else None,
        affinity=Affinity(grid=(2, 2), values=np.full((4, 4), 1 / 3, np.float32)) if near else None,
        refining=Affinity(grid=(1, 2), values=np.full((2, 2), 0.2, np.float32)) if near else None,
    )
    data = encode_summary(summary)
    assert same(decode_summary(data, source="x"), summary)
    assert encode_summary(summary) == data


def test_components_are_stored_in_half_precision_and_nothing_holds_objects():
    values = np.linspace(0, 1, 6 * 32 * 32, dtype=np.float16).astype(np.float32).reshape(6, 32, 32)
    summary = AttentionSummary(
        grid=(32, 32), components=(LayerComponents(layer="a", values=values),), maps={}
    )
    data = encode_summary(summary)
    assert len(data) < values.nbytes / 2 + 2000
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        assert arrays["components.0"].dtype == np.float16


def test_bytes_do_not_depend_on_the_clock(monkeypatch):
    summary = AttentionSummary(grid=(1, 1), components=(), maps={})
    before = encode_summary(summary)
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2_000_000_000))
    assert encode_summary(summary) == before


@settings(max_examples=60, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
def test_damaged_features_never_raise_anything_else(at, flip, cut):
    summary = AttentionSummary(
        grid=(2, 2),
        components=(LayerComponents(layer="a", values=np.zeros((3, 2, 2), np.float32)),),
        maps={},
    )
    data = bytearray(encode_summary(summary))
    place = int(at * len(data))
    if cut:
        del data[place:]
    else:
        data[place] ^= flip
    with contextlib.suppress(ImageError):
        decode_summary(bytes(data), source="f")


def whole() -> AttentionSummary:
    maps = TokenMaps(tokens=("<SoT>", "boat"), phrases=("boat",), phrase_tokens=((1,),), values=full(2, 4, 4))
    return AttentionSummary(
        grid=(4, 4),
        components=(LayerComponents(layer="up", values=full(3, 4, 4)),),
        maps={"classes": maps},
        affinity=Affinity(grid=(2, 2), values=full(4, 4)),
        denoising=DenoisingEvidence(classes=("boat",), gains=full(1, 4, 4), change=full(4, 4)),
        guidance=full(4, 4),
    )


def full(*shape: int, value: float = 1.0) -> np.ndarray:
    return np.full(shape, value, np.float32)


def stored(said: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """A whole file with other words in its header, or other arrays."""
    with np.load(io.BytesIO(encode_summary(whole()))) as found:
        header = json.loads(found["header"].tobytes())
        held = {**found, **arrays}
    header["maps"]["classes"].update(said.pop("classes", {}))
    header.update(said)
    buffer = io.BytesIO()
    np.savez(buffer, **{**held, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
    return buffer.getvalue()


MISFITS: dict[str, tuple[dict[str, Any], dict[str, np.ndarray]]] = {
    "more rows than tokens": ({}, {"maps.classes": full(3, 4, 4)}),
    "a phrase without rows": ({"classes": {"phrases": ["boat", "tree"]}}, {}),
    "a row beyond the end": ({"classes": {"phrase_tokens": [[2]]}}, {}),
    "a row before the start": ({"classes": {"phrase_tokens": [[-1]]}}, {}),
    "a row that is no number": ({"classes": {"phrase_tokens": [["1"]]}}, {}),
    "a phrase that is a list": ({"classes": {"phrases": [["boat"]]}}, {}),
    "maps without places": ({}, {"maps.classes": full(2, 0, 4)}),
    "a flat layer": ({}, {"components.0": full(3, 16)}),
    "NaN in a layer": ({}, {"components.0": full(3, 4, 4, value=np.nan)}),
    "infinity in maps": ({}, {"maps.classes": full(2, 4, 4, value=np.inf)}),
    "a huge grid": ({"grid": [1_000_000, 4]}, {}),
    "a negative grid": ({"grid": [-4, -4]}, {}),
    "affinity of another grid": ({"affinity_grid": [3, 2]}, {}),
    "gains of more classes": ({}, {"denoising.gains": full(2, 4, 4)}),
    "change of another grid": ({}, {"denoising.change": full(4, 5)}),
    "guidance of another grid": ({}, {"guidance": full(4, 5)}),
    "NaN in what guidance changes": ({}, {"guidance": full(4, 4, value=np.nan)}),
    "a class that is a list": ({"denoised": [["boat"]]}, {}),
    "more layers than arrays": ({"layers": ["up", "down"]}, {}),
    "arrays of words": ({}, {"components.0": np.array(["a"])}),
}


@pytest.mark.parametrize("what", MISFITS)
def test_arrays_that_do_not_fit_one_another_are_refused(what):
    assert same(decode_summary(stored({}, {}), source="f"), whole())
    with pytest.raises(ImageError, match="some/file holds no readable features"):
        decode_summary(stored(*MISFITS[what]), source="some/file")


def test_an_array_whose_head_is_no_python_is_refused():
    data = encode_summary(whole())
    broken = data.replace(b"(3, 4, 4), }", b"(3, 4, [(, }")
    assert broken != data
    with pytest.raises(ImageError, match="some/file holds no readable features"):
        decode_summary(broken, source="some/file")
