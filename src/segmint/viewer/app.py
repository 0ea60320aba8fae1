"""The viewer's web application: a paged JSON interface over a catalog, pictures, and the static page."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from segmint._version import __version__
from segmint.errors import ImageError, RunError, SegmintError
from segmint.masks.instances import Instances
from segmint.pictures import paint
from segmint.runs import layout
from segmint.runs.curation.alike import MOST, USUAL, likeness
from segmint.runs.curation.choice import Chosen
from segmint.runs.curation.decisions import STATES
from segmint.runs.records import CORRECTED
from segmint.runs.store import open_run
from segmint.viewer.asked import Decision, Decisions, Filters, UndoRequest, filters_of
from segmint.viewer.catalog import Catalog
from segmint.viewer.objects import LEAST_SHARE, listed, numbered, objects_of
from segmint.viewer.pictures import Look, Pictures
from segmint.viewer.shelves import AlikeShelf, StageShelf, StatisticsShelf
from segmint.viewer.table import MEASURES, Table

STATIC = Path(__file__).parent / "static"
PROMPT_PREVIEW = 200
"""Characters of a prompt in the grid; the detail page has all of it."""
PAIRS_SHOWN = 200
"""Pairs within a distance that the page of duplicates shows; of those beyond a fourth as many."""


def create_app(catalog: Catalog, cache: Path) -> FastAPI:
    """The application over one run; wrap it in `guard.Guard` before serving it."""
    app = FastAPI(title="segmint viewer", docs_url=None, redoc_url=None, openapi_url=None)
    pictures = Pictures(catalog.folder, paint.palette_of(catalog.vocabulary), cache)
    _answer_errors(app)
    _add_listing(app, catalog)
    _add_item(app, catalog, pictures)
    _add_pictures(app, catalog, pictures)
    _add_stages(app, catalog, StageShelf(catalog.run, catalog.vocabulary))
    _add_statistics(app, catalog, StatisticsShelf(catalog, pictures))
    _add_alike(app, catalog, AlikeShelf(catalog))
    _add_changes(app, catalog)
    app.mount("/", StaticFiles(directory=STATIC, html=True), name="static")
    return app


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(SegmintError)
    async def told(_: Request, error: Exception) -> Response:
        return JSONResponse(
            {"error": str(error)}, status_code=404 if isinstance(error, RunError | ImageError) else 409
        )

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: Exception) -> Response:
        issues = error.errors() if isinstance(error, RequestValidationError) else []
        fields = ", ".join(".".join(map(str, issue["loc"][1:])) or "body" for issue in issues)
        return JSONResponse({"error": f"cannot read {fields}"}, status_code=422)


def _add_listing(app: FastAPI, catalog: Catalog) -> None:
    @app.get("/api/run")
    def run() -> dict[str, Any]:
        header = catalog.run.header
        return {
            "name": catalog.folder.resolve().name,
            "model": header.model,
            "licence": header.model_licence,
            "kind": header.kind,
            "created": header.created,
            "version": __version__,
            "classes": [
                {"name": e.name, "id": e.label_id, "colour": paint.shown_colour(e.colour)}
                for e in catalog.vocabulary.entries
            ],
            "mask_sets": catalog.mask_sets(),
        }

    @app.get("/api/status")
    def status(mask_set: str = layout.DEFAULT_MASK_SET) -> dict[str, Any]:
        table = catalog.table(mask_set)
        with catalog.lock:
            states = np.bincount(table.column("state"), minlength=len(STATES)).tolist()
            shown = (table.areas > 0).sum(axis=0).tolist()
            return {
                "items": len(table),
                "planned": open_run(catalog.folder).header.items,
                "failed": len(catalog.run.files.names(layout.FAILURES)),
                "version": table.version,
                "decisions": catalog.decisions,
                "states": dict(zip(STATES, states, strict=True)),
                "shown": dict(zip(table.names, shown, strict=True)),
                "methods": table.methods,
                "mask_sets": catalog.mask_sets(),
                "corrections": catalog.corrections(),
            }

    @app.get("/api/items")
    def items(filters: Annotated[Filters, Depends(filters_of)]) -> dict[str, Any]:
        page = catalog.page(filters.mask_set, filters.query(), filters.offset, filters.limit, filters.order)
        table = catalog.table(filters.mask_set)
        with catalog.lock:
            listed = [_summary(table, row) for row in page.rows]
            version = table.version
        return {
            "order": page.order, "total": page.total, "offset": page.offset, "items": listed,
            "version": version, "decisions": catalog.decisions,
        }  # fmt: skip


def _summary(table: Table, row: int) -> dict[str, Any]:
    areas = table.areas[row]
    item_id = table.ids[row]
    return {
        "id": item_id,
        "prompt": table.prompts[row][:PROMPT_PREVIEW],
        "areas": {table.names[i]: round(float(areas[i]), 5) for i in np.flatnonzero(areas > 0) if i},
        **{name: _finite(table.column(name)[row]) for name in MEASURES},
        "corrected": table.method(row) == CORRECTED,
        "state": STATES[int(table.column("state")[row])],
        "problem": table.problems.get(item_id),
        "stamp": str(int(table.column("stamp")[row])),
    }


def _finite(value: Any) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None


def _add_item(app: FastAPI, catalog: Catalog, pictures: Pictures) -> None:
    @app.get("/api/item/{item_id}")
    def item(item_id: str, mask_set: str = layout.DEFAULT_MASK_SET) -> dict[str, Any]:
        row = catalog.row(mask_set, item_id)
        record = catalog.run.record(item_id, mask_set)
        image = pictures.image_path(item_id)
        return {
            "corrected_in": _corrected_in(catalog, item_id),
            "summary": _summary(catalog.table(mask_set), row),
            "record": record.model_dump(mode="json", exclude={"files", "checksum"}),
            "state": catalog.state(item_id),
            "problem": _problem(pictures, item_id, mask_set),
            "image_suffix": image.suffix if image else None,
            "has_agreement": catalog.run.files.exists(layout.agreement(item_id, mask_set)),
            "has_features": catalog.run.files.exists(layout.features(item_id)),
            "mask_sets": [
                s for s in catalog.mask_sets() if catalog.run.files.exists(layout.record(item_id, s))
            ],
        }


def _corrected_in(catalog: Catalog, item_id: str) -> str | None:
    """The mask set of corrections that stand, where this item's mask is one of them."""
    standing = catalog.corrections()
    name = standing["masks"] if standing else None
    if name is None or not catalog.run.files.exists(layout.record(item_id, name)):
        return None
    return name if catalog.run.record(item_id, name).method == CORRECTED else None


def _problem(pictures: Pictures, item_id: str, mask_set: str) -> str | None:
    try:
        image, labels = pictures.image(item_id), pictures.mask(item_id, mask_set)
    except ImageError as error:
        return str(error)
    sizes = [" × ".join(map(str, (each.shape[1], each.shape[0]))) for each in (image, labels)]
    return None if sizes[0] == sizes[1] else f"the image is {sizes[0]} px, the mask {sizes[1]}"


def _add_pictures(app: FastAPI, catalog: Catalog, pictures: Pictures) -> None:
    @app.get("/api/thumbnail/{item_id}")
    def thumbnail(
        request: Request, item_id: str, mask_set: str = layout.DEFAULT_MASK_SET, look: Look = "overlay"
    ) -> Response:
        catalog.row(mask_set, item_id)
        drawn = pictures.thumbnail(item_id, mask_set, look)
        headers = {"cache-control": "private, max-age=600", "etag": f'"{drawn.tag}"'}
        if drawn.problem is not None:
            return Response(drawn.data, media_type="image/jpeg", headers={"cache-control": "no-store"})
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(drawn.data, media_type="image/jpeg", headers=headers)

    @app.get("/api/item/{item_id}/image")
    def image(item_id: str, mask_set: str = layout.DEFAULT_MASK_SET) -> Response:
        catalog.row(mask_set, item_id)
        path, data = pictures.image_bytes(item_id)
        kind = "image/png" if path.suffix == ".png" else "image/jpeg"
        return Response(data, media_type=kind, headers={"cache-control": "no-cache"})

    @app.get("/api/item/{item_id}/labels")
    def labels(item_id: str, mask_set: str = layout.DEFAULT_MASK_SET) -> Response:
        catalog.row(mask_set, item_id)
        return _png(paint.png(pictures.mask(item_id, mask_set)))

    def parted(item_id: str, mask_set: str) -> Instances:
        catalog.row(mask_set, item_id)
        touching = catalog.run.record(item_id, mask_set).touching
        return objects_of(pictures.mask(item_id, mask_set), touching)

    @app.get("/api/item/{item_id}/objects")
    def objects(item_id: str, mask_set: str = layout.DEFAULT_MASK_SET) -> dict[str, Any]:
        found = parted(item_id, mask_set)
        names = catalog.vocabulary.label_names
        return {"dropped": found.dropped, "least": LEAST_SHARE, "objects": listed(found, names)}

    @app.get("/api/item/{item_id}/numbers")
    def numbers(item_id: str, mask_set: str = layout.DEFAULT_MASK_SET) -> Response:
        return _png(paint.png(numbered(parted(item_id, mask_set))))

    @app.get("/api/item/{item_id}/agreement")
    def agreement(item_id: str, mask_set: str = layout.DEFAULT_MASK_SET) -> Response:
        catalog.row(mask_set, item_id)
        return _png(paint.png(pictures.agreement(item_id, mask_set)))


def _add_stages(app: FastAPI, catalog: Catalog, shelf: StageShelf) -> None:
    @app.get("/api/item/{item_id}/stages")
    def stages(item_id: str, mask_set: str = layout.DEFAULT_MASK_SET) -> list[dict[str, str]]:
        catalog.row(mask_set, item_id)
        made = shelf.stages(item_id, mask_set)
        return [{"key": s.key, "group": s.group, "title": s.title, "caption": s.caption} for s in made]

    @app.get("/api/item/{item_id}/stage/{key}")
    def stage(item_id: str, key: str, mask_set: str = layout.DEFAULT_MASK_SET) -> Response:
        catalog.row(mask_set, item_id)
        for each in shelf.stages(item_id, mask_set):
            if each.key == key:
                return _png(paint.png(each.picture))
        raise RunError(f"item {item_id} has no stage {key[:60]!r}")


def _add_statistics(app: FastAPI, catalog: Catalog, shelf: StatisticsShelf) -> None:
    @app.get("/api/statistics")
    def statistics(mask_set: str = layout.DEFAULT_MASK_SET, rejected: bool = False) -> dict[str, Any]:
        catalog.table(mask_set)
        page = shelf.page(mask_set, with_rejected=rejected)
        return {"html": page.html, "done": page.masks_read, "total": page.masks_total}


def _add_alike(app: FastAPI, catalog: Catalog, shelf: AlikeShelf) -> None:
    def pair(table: Table, each: Chosen) -> dict[str, Any]:
        items = [_summary(table, table.row_of[item_id]) for item_id in (each.like or each.id, each.id)]
        return {"distance": each.value, "items": items}

    @app.get("/api/alike")
    def alike(by: str, distance: float | None = None) -> dict[str, Any]:
        chosen = likeness(by)
        page = shelf.page(chosen, USUAL[chosen] if distance is None else distance)
        table = catalog.table(layout.DEFAULT_MASK_SET)
        with catalog.lock:
            taken = [pair(table, each) for each in page.found.taken[:PAIRS_SHOWN]]
            left = [pair(table, each) for each in page.found.left[: PAIRS_SHOWN // 4]]
        return {
            "distance": page.distance, "most": MOST[chosen],
            "duplicates": [each.id for each in page.found.taken], "taken": taken, "left": left,
            "done": page.done, "total": page.total, "without": page.without,
        }  # fmt: skip


def _add_changes(app: FastAPI, catalog: Catalog) -> None:
    @app.post("/api/decisions")
    def decide(decision: Decision) -> dict[str, Any]:
        catalog.row(layout.DEFAULT_MASK_SET, decision.item)
        catalog.decide([decision.item], decision.state, by=f"viewer:{decision.by}")
        return {"item": decision.item, "state": catalog.state(decision.item), "decisions": catalog.decisions}

    @app.post("/api/decisions/together")
    def decide_together(asked: Decisions) -> dict[str, Any]:
        for item_id in asked.items:
            catalog.row(layout.DEFAULT_MASK_SET, item_id)
        catalog.decide(asked.items, asked.state, by=f"viewer:{asked.by}", why=asked.why)
        states = {item_id: catalog.state(item_id) for item_id in asked.items}
        return {"states": states, "decisions": catalog.decisions}

    @app.post("/api/undo")
    def undo(request: UndoRequest) -> dict[str, Any]:
        undone = catalog.undo(by="import" if request.imported else f"viewer:{request.by}")
        states = dict(undone.states) if undone else {}
        return {"states": states, "decisions": catalog.decisions}


def _png(data: bytes) -> Response:
    return Response(data, media_type="image/png", headers={"cache-control": "no-cache"})
