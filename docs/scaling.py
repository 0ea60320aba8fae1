"""What a million pairs cost on 1, 8 and 100 GPUs: `python docs/scaling.py [--set NAME=VALUE]` prints it.

Every figure comes from `docs/results/*.json`, which `lab.bench NAME --out FILE` writes, or from an
assumption below, by a formula below. `make docs` writes scaling.md; change it here.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # for the lab, which is in no wheel
from lab.simulator import Item, pool_rate, simulate  # noqa: E402
from segmint.jobs.engines.pool import MOST_MASK_WORKERS  # noqa: E402

RESULTS = HERE / "results"
HOUR, GB, MB = 3600.0, 1e9, 1e6


def _assume(value: float, meaning: str) -> Any:
    return field(default=value, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is not measured here. Replace any with your own: `--set gpu_dollars_an_hour=2.5`."""

    items: float = _assume(1_000_000, "pairs of image and mask")
    steps: float = _assume(50, "denoising steps; PNDM makes one UNet call more")
    gpu_peak_tflops: float = _assume(312, "dense float16 peak of the GPU (A100), in TFLOP/s")
    gpu_utilisation: float = _assume(0.35, "share of that peak that diffusers reaches at batch 8 or more")
    overhead: float = _assume(
        1.05, "time with capture over time without: the bar of the benchmark, not a result"
    )
    gpu_dollars_an_hour: float = _assume(2.0, "rent of one GPU with its share of CPU and memory")
    image_kb: float = _assume(170, "JPEG of quality 95, 4:4:4, 512 px")
    mask_kb: float = _assume(6, "palette PNG")
    agreement_kb: float = _assume(12, "grey PNG")
    core_slowdown: float = _assume(1.5, "a cloud's hyperthread against the core that was measured")
    put_s: float = _assume(0.03, "one PUT to an object store, alone or with others beside it")
    batch_size: float = _assume(8, "items of a batch: their objects go side by side")
    put_dollars_a_thousand: float = _assume(0.005, "PUT and LIST requests")
    get_dollars_a_thousand: float = _assume(0.0004, "GET requests")
    store_dollars_a_gb_month: float = _assume(0.023, "object storage")
    egress_dollars_a_gb: float = _assume(0.09, "out of the cloud, once")
    list_page_s: float = _assume(0.15, "one page of 1 000 names of a listing")
    prefix_puts_a_second: float = _assume(3_500, "PUT rate that S3 promises a prefix")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Figures of one item at SD 2.1-base shapes, and of the store."""

    parameters: float
    unet_tflop: float
    decode_tflop: float
    text_tflop: float
    extra_mb: float
    decode_mb: float
    mask_s: float
    mask_mb: float
    store_ms: float
    store_tail_ms: float
    store_items: float
    resume_s: float
    verify_ms: float
    record_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What follows from both."""

    tflop: float
    sampling_s: float
    gpu_hours: float
    mask_core_hours: float
    mask_s_on_a_cloud_core: float
    item_kb: float
    features_mb: float
    storage_gb: float
    features_gb: float
    put_dollars: float
    month_dollars: float
    egress_dollars: float
    resume_s: float
    list_s: float
    verify_core_hours: float


def read_measured(folder: Path = RESULTS) -> Measured:
    """The figures that the other benchmarks left behind."""
    memory, throughput, store = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("memory", "throughput", "store")
    )
    call = next(each for each in memory["called"] if each["model"].startswith("SD 2.1"))
    room = next(each for each in memory["masks"] if each["shape"].startswith("SD 2.1"))
    largest = max(store, key=lambda row: row["items"])
    return Measured(
        parameters=call["parameters"],
        unet_tflop=call["unet_tflop_an_image"],
        decode_tflop=call["decode_tflop_an_image"],
        text_tflop=call["text_tflop_an_image"],
        extra_mb=call["extra_mb_an_image"],
        decode_mb=call["decode_mb"] / call["batch"],
        mask_s=throughput["mask_cpu_s"],
        mask_mb=room["input_mb"] + room["peak_mb"],
        store_ms=largest["item_ms"],
        store_tail_ms=largest["tail_item_ms"],
        store_items=largest["items"],
        resume_s=largest["resume_s"],
        verify_ms=largest["verify_item_ms"],
        record_bytes=largest["record_bytes"],
    )


def costs(m: Measured, a: Assumptions) -> Costs:
    """The formulae."""
    tflop = (a.steps + 1) * m.unet_tflop + m.decode_tflop + 2 * m.text_tflop
    sampling_s = a.overhead * tflop / (a.gpu_peak_tflops * a.gpu_utilisation)
    mask_s = a.core_slowdown * (m.mask_s + m.store_ms / 1000)
    item_kb = a.image_kb + a.mask_kb + a.agreement_kb + m.record_bytes / 1000
    features_mb = FEATURE_VALUES * 2 / MB
    storage_gb = a.items * item_kb * 1000 / GB
    return Costs(
        tflop=tflop,
        sampling_s=sampling_s,
        gpu_hours=a.items * sampling_s / HOUR,
        mask_core_hours=a.items * mask_s / HOUR,
        mask_s_on_a_cloud_core=mask_s,
        item_kb=item_kb,
        features_mb=features_mb,
        storage_gb=storage_gb,
        features_gb=a.items * features_mb * MB / GB,
        put_dollars=a.items * PUTS * a.put_dollars_a_thousand / 1000,
        month_dollars=storage_gb * a.store_dollars_a_gb_month,
        egress_dollars=storage_gb * a.egress_dollars_a_gb + a.items * PUTS * a.get_dollars_a_thousand / 1000,
        resume_s=m.resume_s * a.items / m.store_items,
        list_s=a.items / 1000 * a.list_page_s,
        verify_core_hours=a.core_slowdown * a.items * m.verify_ms / 1000 / HOUR,
    )


PUTS = 4
"""Objects an item: image, mask, agreement, record."""
ROUNDS = 2
"""Of PUTs side by side, a batch: its files, then its records."""
FEATURE_VALUES = 3 * 2 * (3 * 20 * 16**2 + 3 * 10 * 32**2 + 3 * 5 * 64**2)
"""Values kept with --keep-features: 3 components a head, 2 guidance halves, SD 2.1-base's 9 layers."""
GPUS = (1, 8, 100)


def limits(m: Measured, a: Assumptions, c: Costs, gpus: int) -> list[tuple[float, str, str]]:
    """Parts of the design by how near they are to their limit: share used, name, and the sum behind it."""
    rate = gpus / c.sampling_s
    wall_s = a.items * c.sampling_s / gpus
    found = [
        (
            1 / (c.sampling_s * pool_rate(_item(c), MOST_MASK_WORKERS)),
            f"{MOST_MASK_WORKERS} mask workers beside each GPU",
            f"{c.mask_s_on_a_cloud_core:.2f} s of masks by {MOST_MASK_WORKERS} threads "
            f"against {c.sampling_s:.2f} s of drawing an item",
        ),
        (
            ROUNDS * a.put_s / a.batch_size / c.sampling_s,
            "the thread beside each GPU that writes to an object store",
            f"{ROUNDS} rounds of {1000 * a.put_s:.0f} ms a batch of {a.batch_size:.0f}",
        ),
        (
            rate / a.prefix_puts_a_second,
            "the store's PUT rate for one folder",
            f"{rate:.0f} of {a.prefix_puts_a_second:.0f} a second",
        ),
        (
            c.list_s / wall_s,
            "listing what is done, once a start (object store)",
            f"{c.list_s:.0f} s of {wall_s / HOUR:.1f} h",
        ),
        (
            c.resume_s / wall_s,
            "reading the plan, once a start (one core)",
            f"{c.resume_s:.0f} s of {wall_s / HOUR:.1f} h",
        ),
    ]
    return sorted(found, reverse=True)


def page(m: Measured, a: Assumptions) -> str:
    """docs/scaling.md."""
    c = costs(m, a)
    (_, first, _), *_rest = nearest = limits(m, a, c, GPUS[-1])
    busy_s = 1 / pool_rate(_item(c), MOST_MASK_WORKERS)
    calls = busy_s * a.gpu_peak_tflops * a.gpu_utilisation / a.overhead / m.unet_tflop
    return f"""# What a million pairs cost

<!-- Written by `make docs` from docs/scaling.py: change the script, or measure again. -->

{a.items:,.0f} pairs of SD 2.1-base at 512 px, {a.steps:.0f} steps, with guidance. Nothing on this page has been
run at this size: it is arithmetic from figures of one item that were measured (first table), and from
assumptions (last table), each of which can be replaced:
`python docs/scaling.py --set gpu_dollars_an_hour=2.5`.

## Measured

{_table(("figure", "value", "by"), _measured_rows(m))}

## Cost

{_table(("", *(f"{each} GPU{'s' if each > 1 else ''}" for each in GPUS)), _cost_rows(a, c))}

An item is {c.tflop:.0f} TFLOP: ({a.steps:.0f} + 1) × {m.unet_tflop:.2f} for the UNet with both guidance halves,
{m.decode_tflop:.2f} for the decoder, 2 × {m.text_tflop:.2f} for the texts. At {a.gpu_utilisation:.0%} of
{a.gpu_peak_tflops:.0f} TFLOP/s, times {a.overhead:.2f} for the capture, that is {c.sampling_s:.2f} s.

Once, whatever the number of GPUs: {c.storage_gb:,.0f} GB of images, masks, agreement maps and records
({c.item_kb:.0f} kB an item) cost ${c.month_dollars:,.1f} a month to keep, ${c.put_dollars:,.0f} in requests to put
in place ({PUTS} objects an item), and ${c.egress_dollars:,.0f} to take out of the cloud. `--keep-features` adds
{c.features_mb:.2f} MB an item, {c.features_gb:,.0f} GB in all. `segmint verify` of everything takes
{c.verify_core_hours:.1f} core hours beside reading every byte.

## What breaks first

The share of its limit that each part uses at {GPUS[-1]} GPUs, nearest first:

{_table(("part", "used", "sum"), [(name, f"{share:.1%}", said) for share, name, said in nearest])}

The first is: **{first}**. Masks are made by threads beside each GPU, a bounded queue behind the drawing, so they
cost no time until all of those threads together take longer over an item than its drawing: with
{MOST_MASK_WORKERS} of them below about {max(1, calls):.0f} UNet calls an item on this GPU. Cores come first on a
machine that has few of them.

## GPUs and cores

Images a second, and the share of its time that a GPU waits for masks, where every GPU draws {FAST:g} images a
second (an H100 at 50 steps draws some 2 to 4, with few-step models several times that); simulated by
`lab/simulator.py` from the mask's time above, {a.core_slowdown:g} times as long on a cloud's core:

{_table(("GPUs", *(f"{each} cores" for each in CORES)), _machine_rows(c))}

`python -m lab.throughput` lets every engine mint with a model that only sleeps and masks that are real:
where its mask workers suffice, drawing waited {_most_waiting():.1%} of the time at most, by whichever engine.

Memory does not break: the capture holds {m.extra_mb:.1f} MB an image whatever the number of steps, beside
{m.decode_mb:.0f} MB for the decoder's own peak. Making its mask takes {m.mask_mb:.0f} MB of the host's memory
for one image at a time, the captured features in float32 among them.

The store's cost an item is flat: {m.store_ms:.2f} ms over {m.store_items:,.0f} items, {m.store_tail_ms:.2f} ms
for the newest thousand, on a memory file system; flushing to a disk comes on top. What grows with the run is
each start: the plan is read and the records are listed, {c.resume_s:.0f} s of one core at {a.items:,.0f} items,
and about {c.list_s:.0f} s of listing in an object store. Far beyond that, make several runs and train on them
together: a folder of millions of files is slow in every tool.

## Assumed

{_table(("name", "value", "meaning"), _assumed_rows(a))}
"""  # noqa: E501 - lines are longer here than on the page


FAST = 4.0
"""Images a second."""
CORES = (4, 8, 16, 32, 64)


def _item(c: Costs, drawing_s: float | None = None) -> Item:
    return Item(drawing_s=drawing_s or c.sampling_s, mask_s=c.mask_s_on_a_cloud_core)


def _machine_rows(c: Costs) -> list[tuple[str, ...]]:
    rows = []
    for gpus in (1, 2, 4, 8):
        cells = [str(gpus)]
        for cores in CORES:
            made = simulate(_item(c, 1 / FAST), gpus=gpus, cores=cores)
            cells.append(f"{made.images_per_s:.1f}, {made.waiting:.0%}" if cores > gpus else "")
        rows.append(tuple(cells))
    return rows


def _most_waiting() -> float:
    rows = json.loads((RESULTS / "throughput.json").read_text())["rows"]
    return max(float(row["waiting"]) for row in rows if row["enough_mask_workers"])


def _assumed_rows(a: Assumptions) -> list[tuple[str, str, str]]:
    return [
        (f"`{each.name}`", f"{getattr(a, each.name):,g}", each.metadata["meaning"])
        for each in fields(Assumptions)
    ]


def _measured_rows(m: Measured) -> list[tuple[str, str, str]]:
    return [
        (
            "one UNet call, both guidance halves",
            f"{m.unet_tflop:.3f} TFLOP",
            "`lab.bench memory`, by shapes",
        ),
        ("decoding one image", f"{m.decode_tflop:.3f} TFLOP", "`lab.bench memory`, by shapes"),
        ("weights", f"{m.parameters / 1e9:.2f} · 10⁹ values", "`lab.bench memory`, by shapes"),
        ("memory that capture adds", f"{m.extra_mb:.1f} MB an image", "`lab.bench memory`, float16"),
        ("making one mask (`segmint`), encoding it", f"{m.mask_s:.2f} s of one core", "`lab.throughput`"),
        ("putting one item in place", f"{m.store_ms:.2f} ms of one core", "`lab.bench store`, tmpfs"),
        (f"resuming {m.store_items:,.0f} items", f"{m.resume_s:.2f} s of one core", "`lab.bench store`"),
        ("verifying one item", f"{m.verify_ms:.2f} ms of one core", "`lab.bench store`, tiny images"),
        ("one record", f"{m.record_bytes:.0f} bytes", "`lab.bench store`"),
    ]


def _cost_rows(a: Assumptions, c: Costs) -> list[tuple[str, ...]]:
    days = [c.gpu_hours / gpus / 24 for gpus in GPUS]
    return [
        ("time", *(f"{each:,.1f} days" if each >= 1 else f"{24 * each:.1f} hours" for each in days)),
        ("items a second", *(f"{gpus / c.sampling_s:,.1f}" for gpus in GPUS)),
        ("GPU hours", *(f"{c.gpu_hours:,.0f}" for _ in GPUS)),
        ("GPU rent", *(f"${c.gpu_hours * a.gpu_dollars_an_hour:,.0f}" for _ in GPUS)),
        ("core hours of masks (beside the drawing)", *(f"{c.mask_core_hours:,.0f}" for _ in GPUS)),
        (
            "cores that keep up",
            *(f"{gpus * c.mask_s_on_a_cloud_core / c.sampling_s:,.1f}" for gpus in GPUS),
        ),
        ("written", *(f"{gpus / c.sampling_s * c.item_kb / 1000:,.1f} MB/s" for gpus in GPUS)),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another assumption")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the measured figures")
    arguments = parser.parse_args()
    changes = {name: float(value) for name, _, value in (each.partition("=") for each in arguments.set)}
    print(page(read_measured(arguments.results), Assumptions(**changes)))


if __name__ == "__main__":
    main()
