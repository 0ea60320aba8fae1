"""What is run on both trees."""

import shlex
from dataclasses import dataclass

METHODS = ("segmint", "pcc", "pcc-published", "ovam", "daam", "dataset-diffusion", "goca", "goca-published")
OWN_MAPS = ("daam", "dataset-diffusion", "goca", "goca-published")
"""What these read is captured for them alone; the features of a run by `pcc` serve the others."""
RUN = "pcc"
"""The run that is exported, trained on and looked at: of a published method, which does not change. The masks
of `segmint` did, and were meant to (see `compare`)."""
FORMATS = ("voc", "coco", "coco-rle", "yolo", "huggingface", "webdataset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command, or one piece of Python against the public names."""

    name: str
    words: tuple[str, ...] = ()
    """After `segmint`."""
    python: str = ""
    printed: bool = False
    """What it prints is a result, and is compared."""
    needs: tuple[str, ...] = ()
    """Names of the steps whose files it reads."""


def _step(name: str, line: str, *, printed: bool = False, needs: tuple[str, ...] = ()) -> Step:
    return Step(name=name, words=tuple(shlex.split(line)), printed=printed, needs=needs)


def _generate(out: str, flags: str, further: str = "") -> Step:
    drawn = "--model toybox --classes toybox --steps 4 --batch-size 2 --quiet"
    return _step(f"generate {out}{further}", f"generate {drawn} --out {out} {flags}")


def _label(method: str) -> Step:
    out = f"labelled-{method}"
    flags = f"--classes toybox --method {method} --set photos.absent=keep --keep-features --quiet --out {out}"
    return _step(f"generate {out}", f"label 'photos/00000?.png' {flags}", needs=("toybox render",))


def _remask(run: str, method: str) -> Step:
    line = f"remask {run} --method {method} --name {method} --quiet"
    return _step(f"remask {run} by {method}", line, needs=(f"generate {run}",))


def _heatmap(kind: str) -> Step:
    words = f"--words boat tree --kind {kind} --steps 4 --by layer,step"
    return _step(
        f"heatmap {kind}", f"heatmap 'a boat and a tree' {words} --out {kind}.png --arrays {kind}.npz"
    )


def _look(line: str, *, printed: bool = False, needs: str = "") -> Step:
    """A command that reads `RUN`."""
    return _step(line, line, printed=printed, needs=(f"generate {RUN}", *filter(None, [needs])))


def _export(form: str) -> Step:
    return _look(f"export {RUN} --format {form} --out as-{form} --split train=0.5,val=0.5 --quiet")


FAKED = """
import segmint
from segmint.backbone.fake import FakeBackbone
from segmint.backbone.settings import ModelSettings
model = segmint.Model(settings=ModelSettings(), backbone=FakeBackbone(fail_seeds=frozenset({2025})))
segmint.generate(model, out="fake", classes=["boat", "tree"], count=5, retries=1,
                 settings={"output.keep_features": True, "masks.method": "pcc"})
"""
MINTED = """
import numpy, segmint
model = segmint.load("toybox", device="cpu")
pcc = {"masks.method": "pcc"}
item = segmint.mint(model, "a red boat and a tree", ["boat", "tree"], settings={"sampling.steps": 4} | pcc)
numpy.savez("mint.npz", image=item.image, mask=item.trace.mask.labels, agreement=item.trace.mask.agreement)
looked = segmint.label(model, item.image, ["boat", "tree"], settings={"photos.absent": "keep"} | pcc)
numpy.savez("looked.npz", mask=looked.trace.mask.labels, agreement=looked.trace.mask.agreement)
"""

CPU = "--workers 0 --device cpu --quiet"
STEPS: tuple[Step, ...] = (
    *(_generate(method, f"--count 3 --method {method} --keep-features") for method in METHODS),
    _generate("png", "--count 2 --image-format png --method pcc"),
    _generate("png", "--count 3 --image-format png --method pcc", further=", extended"),
    Step(name="generate with a stand-in model", python=FAKED),
    Step(name="mint and label in memory", python=MINTED),
    _step("toybox render", "toybox render photos --count 3 --split val"),
    *(_label(method) for method in ("segmint", "pcc", "ovam")),
    *(_remask(RUN, method) for method in METHODS if method not in (*OWN_MAPS, "segmint")),
    *(_remask(method, method) for method in OWN_MAPS),
    _remask("labelled-pcc", "ovam"),
    *(_heatmap(kind) for kind in ("daam", "ovam")),
    _step(
        "heatmap of an image",
        "heatmap 'a boat' --image photos/000000.png --out seen.png --arrays seen.npz",
        needs=("toybox render",),
    ),
    _look(f"explain {RUN} 000001 --out explain.png"),
    *(_export(form) for form in FORMATS),
    _look(f"export {RUN} --format voc --masks ovam --out as-set --quiet", needs=f"remask {RUN} by ovam"),
    _look(f"verify {RUN} --json", printed=True),
    _look(f"report {RUN} --out report.html --samples 2"),
    _step(
        "train",
        f"train {RUN} ovam --val toybox:val@4 --out trained --arch toynet --backbone none --iterations 4 "
        f"--batch-size 2 --crop 64 --validate-every 2 --precision no {CPU}",
        needs=(f"generate {RUN}", "generate ovam"),
    ),
    _step("evaluate", "evaluate trained --data toybox:test@4 --out judged --device cpu -q", needs=("train",)),
    _step(
        "selftrain",
        f"selftrain trained {RUN} --val toybox:val@4 --out again --confidence 0 --backbone none {CPU}",
        needs=("train",),
    ),
    _look(f"curate {RUN} --reject agreement<0.999", printed=True),
)


def chosen(word: str) -> tuple[Step, ...]:
    """The steps whose names hold a word, and those that they need, in order."""
    wanted: set[str] = set()
    for step in reversed(STEPS):
        if word in step.name or step.name in wanted:
            wanted |= {step.name, *step.needs}
    return tuple(step for step in STEPS if step.name in wanted)
