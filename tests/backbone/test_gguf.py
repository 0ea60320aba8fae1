"""A network's weights from a GGUF file: read as its own, in few bits, and refused where they are not."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from golden_models import model

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import AgreementRequest, CaptureRequest, MapRequest, Reading
from segmint.backbone import gguf as reading
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, SamplingSettings
from segmint.errors import MissingDependency, ModelError
from segmint.masks.methods import prompt_maps

Find = Callable[[str], Path]
Make = Callable[..., PromptSpec]
Q8, BF16, F16 = (getattr(gguf.GGMLQuantizationType, each) for each in ("Q8_0", "BF16", "F16"))
ALL = CaptureRequest(
    maps=(MapRequest(), prompt_maps(Reading())), agreements=(AgreementRequest(heads="projected"),)
)


def written(path: Path, weights: Mapping[str, torch.Tensor], kind: Any) -> str:
    """Matrices of this kind, of 16 bits where their rows are no multiple of its blocks; else float32."""
    writer = gguf.GGUFWriter(str(path), "flux")
    for name, weight in weights.items():
        values = weight.float().numpy()
        if values.ndim == 2:
            own = kind if kind is not Q8 or values.shape[1] % 32 == 0 else BF16
            values = values.astype(np.float16) if own is F16 else gguf.quants.quantize(values, own)
            writer.add_tensor(name, values, raw_dtype=own)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


def drawn(backbone: DiffusersBackbone, spec: PromptSpec) -> Generation:
    (item,) = backbone.generate([spec], SamplingSettings(steps=2, height_px=64, width_px=64), ALL)
    assert isinstance(item, Generation)
    return item


@pytest.mark.parametrize(("family", "kind"), [("flux", F16), ("flux", Q8), ("zimage", BF16)])
def test_a_network_is_read_from_a_file(
    family: str, kind: Any, family_folder: Find, tmp_path: Path, make_spec: Make
) -> None:
    known = model(family_folder(family))
    folder = tmp_path / "model"
    folder.mkdir()
    for part in family_folder(family).iterdir():
        if part.name != "transformer":
            (folder / part.name).symlink_to(part)
    (folder / "transformer").mkdir()
    (folder / "transformer" / "config.json").symlink_to(family_folder(family) / "transformer" / "config.json")
    file = written(tmp_path / "few.gguf", known.network.state_dict(), kind)
    plain = drawn(known, make_spec(0))
    other = drawn(load(ModelSettings(id=str(folder), gguf=file), "cpu"), make_spec(0))
    if kind is F16:  # the reference's weights are numbers of float16
        np.testing.assert_array_equal(other.image, plain.image)
        np.testing.assert_allclose(other.heads[0].values, plain.heads[0].values, atol=1e-4)
        return
    assert not np.array_equal(other.heads[0].values, plain.heads[0].values)
    assert {*other.maps} == {*plain.maps}
    for name, maps in other.maps.items():
        assert np.isfinite(maps.values).all()
        assert np.corrcoef(maps.values.ravel(), plain.maps[name].values.ravel())[0, 1] > 0.5


def test_files_that_cannot_be_read_are_told(
    family_folder: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flux, missing, wrong = str(family_folder("flux")), tmp_path / "no.gguf", tmp_path / "wrong.gguf"
    wrong.write_bytes(b"PK")
    weights = model(family_folder("flux")).network.state_dict()
    del weights["x_embedder.weight"]
    short = written(tmp_path / "short.gguf", weights, F16)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(Path(short).read_bytes()[:100])
    for family, file, said in (
        (flux, missing, r"no\.gguf is not there; --gguf takes a file on this machine"),
        (flux, wrong, r"wrong\.gguf is no GGUF file; expected one that begins with GGUF"),
        (flux, short, r"short\.gguf cannot be read as this model's transformer, a FluxTransformer2DModel"),
        (flux, cut, r"cut\.gguf cannot be read as .*; give one that was made from it, or fetch it again"),
        (
            str(family_folder("pixart")),
            short,
            "reads no GGUF file of a PixArtTransformer2DModel; leave --gguf out",
        ),
    ):
        with pytest.raises(ModelError, match=said) as told:
            load(ModelSettings(id=family, gguf=str(file)), "cpu")
        assert "\n" not in str(told.value)
    monkeypatch.setattr(reading, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"--gguf needs the package `gguf`; .*\[quantize\]"):
        load(ModelSettings(id=flux, gguf=short), "cpu")
