"""What requests bring, checked."""

from typing import Annotated, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segmint.runs import layout
from segmint.runs.curation.decisions import State
from segmint.viewer.table import SORTS, Query

MAX_PAGE = 500
"""Items that one request may ask for, or decide on."""

Share = Annotated[float, Field(ge=0, le=1)]
Author = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class Decision(BaseModel):
    """Body of POST /api/decisions."""

    model_config = ConfigDict(extra="forbid")

    item: str
    state: State
    by: Author


class Decisions(BaseModel):
    """Body of POST /api/decisions/together: one decision on several items, undone as one."""

    model_config = ConfigDict(extra="forbid")

    items: Annotated[list[str], Field(min_length=1, max_length=MAX_PAGE)]
    state: State
    by: Author
    why: Annotated[str, Field(max_length=200)]


class UndoRequest(BaseModel):
    """Body of POST /api/undo."""

    model_config = ConfigDict(extra="forbid")

    by: Author
    imported: bool = False
    """Take back the corrections that were imported last, whoever did."""


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


def filters_of(request: Request) -> Filters:
    """The filters of a request's address.

    Raises:
        RequestValidationError: names the parameters that cannot be read.
    """
    try:
        return Filters.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise RequestValidationError([{**e, "loc": ("query", *e["loc"])} for e in error.errors()]) from None
