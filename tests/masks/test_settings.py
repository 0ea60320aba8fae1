import subprocess
import sys

import pytest
from pydantic import ValidationError

from segmint.errors import ConfigError
from segmint.masks.methods import METHODS
from segmint.masks.settings import MaskSettings, VoteSettings, profile


def test_the_default_is_the_best_by_the_benchmark() -> None:
    assert MaskSettings() == profile("segmint")


def test_pcc_is_the_reports_rule() -> None:
    settings = profile("pcc")
    assert (settings.clusters.connectivity, settings.refine.connectivity) == (4, 4)
    assert (settings.vote.share, settings.refine.rule, settings.refine.share) == (0.5, "share", 0.66)
    assert not settings.refine.smooth


def test_a_method_brings_its_profile() -> None:
    settings = MaskSettings.model_validate({"method": "pcc-published", "vote": {"thresholds": [0.4]}})
    assert settings.vote == VoteSettings(thresholds=(0.4,), share=0.56)
    assert settings.refine == profile("pcc-published").refine


@pytest.mark.parametrize("name", sorted(METHODS))
def test_profiles_survive_json(name: str) -> None:
    assert MaskSettings.model_validate(profile(name).model_dump(mode="json")) == profile(name)


def test_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown method 'pccc', did you mean 'pcc'. known are pcc, pcc-published"
    ):
        profile("pccc")
    with pytest.raises(ValidationError, match="pcc-published"):
        MaskSettings(method="pccc")


@pytest.mark.parametrize(
    "bad",
    [{"vote": {"thresholds": []}}, {"vote": {"share": 1.5}}, {"clusters": {"connectivity": 6}}, {"x": 1}],
)
def test_values_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MaskSettings.model_validate(bad)


def test_settings_import_no_array_library() -> None:
    code = "import sys, segmint.masks.settings; sys.exit('numpy' in sys.modules or 'cc3d' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
