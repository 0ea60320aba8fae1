"""The viewer's web application: a paged JSON interface over a catalog, pictures, and the static page."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field

from segmint._version import __version__
from segmint.errors import ImageError, RunError, SegmintError
from segmint.pictures import paint
from segmint.runs import layout
from segmint.runs.curation.decisions import STATES, State
from segmint.runs.store import open_run
from segmint.viewer.catalog import Catalog
from segmint.viewer.pictures import Look, Pictures
from segmint.viewer.shelves import StageShelf, StatisticsShelf
from segmint.viewer.table import SORTS, Query, Table

STATIC = Path(__file__).parent / "static"
MAX_PAGE = 500
"""Items that one request may ask for."""
PROMPT_PREVIEW = 200
"""Characters of a prompt in the grid; the detail page has all of it."""
FAILURES_SHOWN = 50
"""Failed items that the statistics page names."""

Share = Annotated[float, Field(ge=0, le=1)]
Author = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class Decision(BaseModel):
    """Body of POST /api/decisions."""

    model_config = ConfigDict(extra="forbid")

    item: str
    state: State
    by: Author


class UndoRequest(BaseModel):
    """Body of POST /api/undo."""

    model_config = ConfigDict(extra="forbid")

    by: Author


class Filters(BaseModel):
    """Query parameters of GET /api/items."""

    model_config = ConfigDict(extra="ignore")

    mask_set: str = layout.DEFAULT_MASK_SET
    text: Annotated[str, Field(max_length=1000)] = ""
    state: Literal["", "undecided", "kept", "rejected"] = ""
    classes: str = ""
    """Names, parted by line breaks: a name may hold a comma, never a line break."""
    area_class: str = ""
    area_min: Share = 0.0
    area_max: Share = 1.0
    uncertain_min: Share = 0.0
    uncertain_max: Share = 1.0
    method: str = ""
    sort: str = "index"
    descending: bool = False
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 100
    order: str = ""

    def query(self) -> Query:
        """The part that decides what is shown."""
        fields = self.model_dump(exclude={"mask_set", "offset", "limit", "order", "classes"})
        fields["sort"] = self.sort if self.sort in SORTS else "index"
        return Query(classes=tuple(each for each in self.classes.split("\n") if each), **fields)


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
            }

    @app.get("/api/items")
    def items(filters: Annotated[Filters, Depends(_filters)]) -> dict[str, Any]:
        page = catalog.page(filters.mask_set, filters.query(), filters.offset, filters.limit, filters.order)
        table = catalog.table(filters.mask_set)
        with catalog.lock:
            listed = [_summary(table, row) for row in page.rows]
            version = table.version
        return {
            "order": page.order, "total": page.total, "offset": page.offset, "items": listed,
            "version": version, "decisions": catalog.decisions,
        }  # fmt: skip


def _filters(request: Request) -> Filters:
    from pydantic import ValidationError

    try:
        return Filters.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise RequestValidationError([{**e, "loc": ("query", *e["loc"])} for e in error.errors()]) from None


def _summary(table: Table, row: int) -> dict[str, Any]:
    areas = table.areas[row]
    item_id = table.ids[row]
    return {
        "id": item_id,
        "prompt": table.prompts[row][:PROMPT_PREVIEW],
        "areas": {table.names[i]: round(float(areas[i]), 5) for i in np.flatnonzero(areas > 0) if i},
        "uncertain": _finite(table.column("uncertain")[row]),
        "agreement": _finite(table.column("agreement")[row]),
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


def _add_changes(app: FastAPI, catalog: Catalog) -> None:
    @app.post("/api/decisions")
    def decide(decision: Decision) -> dict[str, Any]:
        catalog.row(layout.DEFAULT_MASK_SET, decision.item)
        catalog.decide(decision.item, decision.state, by=f"viewer:{decision.by}")
        return {"item": decision.item, "state": catalog.state(decision.item), "decisions": catalog.decisions}

    @app.post("/api/undo")
    def undo(request: UndoRequest) -> dict[str, Any]:
        undone = catalog.undo(by=f"viewer:{request.by}")
        states = dict(undone.states) if undone else {}
        return {"states": states, "decisions": catalog.decisions}


def _png(data: bytes) -> Response:
    return Response(data, media_type="image/png", headers={"cache-control": "no-cache"})
