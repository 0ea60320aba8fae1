"""What the benchmarks measure with, on work whose cost is known."""

import gc
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import FluxTransformer2DModel

from lab.cost import masks, memory, store, transformers
from lab.cost.live_tensors import peak_bytes
from lab.cost.synthetic_scene import TOYBOX, scene
from segmint.backbone.families.flux import FluxFamily


def test_the_peak_is_that_of_tensors_alive_at_once() -> None:
    def work() -> None:
        first = torch.zeros(1000)  # 4 000 bytes
        second = first.double()  # 8 000 more
        del first
        gc.collect()
        second.sum()

    assert peak_bytes(work) == 12_000
    assert peak_bytes(lambda: torch.zeros(10, device="meta").view(2, 5)) == 40


def test_both_statements_of_the_profile_give_the_same_mask() -> None:
    raw = scene(TOYBOX, 5)
    (mine, own_s), (theirs, their_s) = masks.ours(raw, TOYBOX), masks.plain(raw, TOYBOX)
    assert (mine == theirs).all()
    assert set(own_s) == set(their_s) == set(masks.STAGES)


def test_a_scene_depends_on_its_seed_alone() -> None:
    assert (scene(TOYBOX, 1).image == scene(TOYBOX, 1).image).all()
    assert (scene(TOYBOX, 1).image != scene(TOYBOX, 2).image).any()


def test_capture_memory_at_full_size_is_within_its_bar_and_free_of_the_steps() -> None:
    once, thrice = memory.called("sd21-random", [(1, 1), (1, 3)])
    assert once.extra_mb_an_image <= 150
    assert thrice.extra_mb_an_image == once.extra_mb_an_image
    assert once.parameters == pytest.approx(1.29e9, rel=0.01)


def test_a_store_grows_through_its_sizes_and_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    rows = list(store.measure(tmp_path / "run", [5, 40], lambda done, total: told.append((done, total))))
    assert [row.items for row in rows] == [5, 40]
    assert all(row.item_ms > 0 and row.resume_s > 0 and row.record_bytes > 100 for row in rows)
    assert told[-1][1] == 40
    assert (tmp_path / "run/items/000038.json").is_file()
    assert not (tmp_path / "run/items/000039.json").exists()


def test_a_transformers_call_is_read_without_changing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def small(side: int, dtype: torch.dtype) -> transformers.Built:
        net = FluxTransformer2DModel(
            in_channels=16,
            num_layers=2,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=(4, 4, 8),
        )
        inputs = {
            "hidden_states": torch.randn(1, side * side, 16),
            "encoder_hidden_states": torch.randn(1, 7, 32),
            "pooled_projections": torch.randn(1, 32),
            "timestep": torch.full((1,), 0.5),
            "img_ids": torch.zeros(side * side, 3),
            "txt_ids": torch.zeros(7, 3),
        }
        return net, FluxFamily().layers(SimpleNamespace(transformer=net)), inputs, 32

    true = {"FluxTransformerBlock": 4, "FluxSingleTransformerBlock": 3}
    model = transformers.Model(
        build=small, blocks=true, passed=2.0, read=1, heads=2, width=16, halves=1, steps=2
    )
    monkeypatch.setitem(transformers.MODELS, "small", model)
    found = transformers.measure("small", side=4, turns=1)
    assert found.equal
    assert found.tokens == 16
    # features of one double block, and shares of four concepts and an end token
    assert found.held_mb == pytest.approx((16 * 32 + 16 * 5) * 4 / 1e6)
    assert min(found.plain_s, found.read_s, found.ratio) > 0
    image = found.image
    assert image.calls == 2
    assert image.plain_s == pytest.approx(2 * image.call_s)
    assert image.evidence_s == pytest.approx(4 * 2 * image.call_s)  # three classes and nothing, at two levels
    assert image.ratio == pytest.approx(1 + (image.reading_s + image.masks_s) / image.plain_s)
    assert image.ratio_with_evidence > image.ratio > 1
