"""Every path of a run folder, relative to its root. Nothing else spells one out."""

from pathlib import PurePosixPath

RECIPE = PurePosixPath("recipe.toml")
"""What was asked for."""
HEADER = PurePosixPath("run.json")
"""What made it: schema version, digest, model facts, vocabulary."""
PLAN = PurePosixPath("plan.jsonl")
"""One PromptSpec a line, in index order, written before the first item."""
ITEMS = PurePosixPath("items")
"""One record an item; written last, so its presence means that the item is whole."""
FAILURES = PurePosixPath("failed")
"""Records of items that could not be generated, apart from the whole ones, so that nobody reads them by
mistake."""
IMAGES = PurePosixPath("JPEGImages")
MASKS = PurePosixPath("SegmentationClass")
AGREEMENT = PurePosixPath("SegmentationAgreement")
"""8-bit grey PNG: 255 × the share of ballots that agree with the mask."""
IMAGE_SETS = PurePosixPath("ImageSets/Segmentation")
FEATURES = PurePosixPath("features")
MASK_SETS = PurePosixPath("masks")
"""Mask sets made later, `masks/NAME/` with the same three folders as the default set."""
CURATION = PurePosixPath("curation.jsonl")
"""Append-only keep/reject decisions."""
RECIPES = PurePosixPath("recipes")
"""Of a merged run, the recipe of each run that it was merged from; of a run that was added to, recipe and
plan of each addition."""
LOCK = PurePosixPath(".lock")
LEASE = PurePosixPath(".lease")
"""In an object store, what `LOCK` is on a disk."""
PENDING = PurePosixPath(".pending")
"""Files being written; safe to delete when nothing writes."""
CONTACT_SHEET = PurePosixPath("contact-sheet.png")
LABELS = PurePosixPath("labelmap.txt")
"""`name:R,G,B::` a line in id order, as CVAT and Datumaro read it; `run.json` holds the ids."""
TORCHVISION = PurePosixPath("VOCdevkit/VOC2012")
"""Links to the three VOC folders, where `torchvision.datasets.VOCSegmentation(RUN)` looks for them."""

IMAGE_SET_NAMES = ("train", "trainval", "val")
"""Lists of a VOC dataset. Minted images are for training: `train` and `trainval` name them all, `val`
none."""

DEFAULT_MASK_SET = ""
"""Name of the mask set that was made together with the images."""


def image(item_id: str, suffix: str) -> PurePosixPath:
    """Path of an item's image; `suffix` is `jpg` or `png`."""
    return IMAGES / f"{item_id}.{suffix}"


def mask(item_id: str, mask_set: str = DEFAULT_MASK_SET) -> PurePosixPath:
    """Path of an item's palette PNG in a mask set."""
    return _in_set(MASKS, mask_set) / f"{item_id}.png"


def agreement(item_id: str, mask_set: str = DEFAULT_MASK_SET) -> PurePosixPath:
    """Path of an item's agreement map in a mask set."""
    return _in_set(AGREEMENT, mask_set) / f"{item_id}.png"


def record(item_id: str, mask_set: str = DEFAULT_MASK_SET) -> PurePosixPath:
    """Path of an item's record in a mask set."""
    return _in_set(ITEMS, mask_set) / f"{item_id}.json"


def failure(item_id: str) -> PurePosixPath:
    """Path of the record of an item that failed."""
    return FAILURES / f"{item_id}.json"


def features(item_id: str) -> PurePosixPath:
    """Path of an item's stored attention summary."""
    return FEATURES / f"{item_id}.npz"


def files_of(item_id: str, mask_set: str = DEFAULT_MASK_SET) -> dict[str, tuple[str, ...]]:
    """Where each file of an item may lie, by role: what a record says of it must be one of these."""
    return {
        "image": tuple(str(image(item_id, suffix)) for suffix in ("jpg", "png")),
        "mask": (str(mask(item_id, mask_set)),),
        "agreement": (str(agreement(item_id, mask_set)),),
        "features": (str(features(item_id)),),
    }


def run_files(additions: int) -> dict[str, tuple[str, ...]]:
    """The same of the run's own files, and of so many additions."""
    numbers = range(1, additions + 1)
    return {
        "recipe": (str(RECIPE),),
        "plan": (str(PLAN),),
        "labels": (str(LABELS),),
        **{f"recipe-{number}": (str(added_recipe(number)),) for number in numbers},
        **{f"plan-{number}": (str(added_plan(number)),) for number in numbers},
    }


def added_recipe(number: int) -> PurePosixPath:
    """Path of the recipe of the run's addition 1, 2, …"""
    return RECIPES / f"added-{number}.toml"


def added_plan(number: int) -> PurePosixPath:
    """Path of that addition's part of the plan, from which a damaged run is mended."""
    return RECIPES / f"added-{number}.jsonl"


def recipe_of(name: str) -> PurePosixPath:
    """Path of the recipe of a run that was merged into this one."""
    return RECIPES / f"{name}.toml"


def mask_settings(mask_set: str) -> PurePosixPath:
    """Path of the settings that made a later mask set (the default one's are in the recipe)."""
    return MASK_SETS / mask_set / "masks.json"


def image_set(name: str) -> PurePosixPath:
    """Path of an image-set list: `train`, `val` or `trainval`."""
    return IMAGE_SETS / f"{name}.txt"


def _in_set(folder: PurePosixPath, mask_set: str) -> PurePosixPath:
    return MASK_SETS / mask_set / folder if mask_set else folder
