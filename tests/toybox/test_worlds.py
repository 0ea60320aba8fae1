import numpy as np
import pytest

from segmint.errors import ConfigError
from segmint.plan.classes import preset_vocabulary
from segmint.toybox.worlds import SPLITS, WORLDS, never_seen, world_named
from segmint.vocabulary import Vocabulary


@pytest.mark.parametrize("name", WORLDS)
def test_scenes_of_every_world_say_the_same_of_themselves(name: str) -> None:
    world = world_named(name)
    assert preset_vocabulary(name).names == world.classes
    assert set(world.stuff) < set(world.classes)
    scenes = [world.render(seed, split="val") for seed in range(3)]
    for scene in scenes:
        np.testing.assert_array_equal(scene.instances > 0, scene.mask > 0)
        assert set(scene.things) == set(scene.classes)
        for number, thing in enumerate(scene.things, start=1):
            assert set(scene.mask[scene.instances == number]) == {world.classes.index(thing) + 1}


@pytest.mark.parametrize("name", WORLDS)
def test_every_split_has_scenes_of_its_own(name: str) -> None:
    pictures = {WORLDS[name].render(0, split=split).image.tobytes() for split in SPLITS}
    assert len(pictures) == len(SPLITS) == 4


def test_an_unknown_world_is_named() -> None:
    with pytest.raises(ConfigError, match="no world is called 'garden'; expected toybox or yard"):
        world_named("garden")


def test_what_a_shipped_model_was_never_shown_is_known_and_of_others_nothing_is() -> None:
    cats = Vocabulary.of(["Boat", "cat"])
    assert "does not know 'cat': " in str(never_seen("toybox", cats))
    assert never_seen("toybox", Vocabulary.of(["Boat"])) is None
    assert never_seen("toybox", Vocabulary.of(["vessel"], phrases={"vessel": ["boat"]})) is None
    assert never_seen("some/model", cats) is None
