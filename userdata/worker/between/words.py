"""What the worker says to its drawing process, and what that answers: one class for each, sent as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from userdata.contract.image_size import LONGEST_EDGE
from userdata.job.image_request import ImageRequest
from userdata.job.job import Job
from userdata.record.drawn_with import DrawnWith

# What the worker takes: a traceback, and the pixels of the largest image, three bytes each.
MOST_SAID = 1024 * 1024
MOST_PIXELS = 3 * LONGEST_EDGE**2
# What the drawing process takes: the requests of a run of as many images as may be asked for, or the pixels of an
# initial image, which is fitted to the images there and may be far larger than they.
MOST_ASKED = 1024 * 1024 * 1024

Edge = Annotated[int, Field(ge=1, le=LONGEST_EDGE)]
Size = tuple[Edge, Edge]


class Word(BaseModel):
    """One message."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Draw(Word):
    """Asks for the images of a `Task`. `settings` are variables; behind it the initial image of that size, as RGB.

    With a mask, which the job says, it is RGBA. `stays` says that another run may follow.
    """

    kind: Literal["draw"] = "draw"
    stays: bool
    settings: dict[str, str]
    job: Job
    missing: list[ImageRequest]
    total: int
    beside: Annotated[int, Field(ge=0)] = 0
    initial_size: tuple[int, int] | None = None


class Go(Word):
    """Answers `Begin`: the batch may be begun."""

    kind: Literal["go"] = "go"


class Leave(Word):
    """The drawing must end: `between` two batches, which leaves everything loaded, or within a denoising step."""

    kind: Literal["leave"] = "leave"
    between: bool


class Saved(Word):
    """Answers `Image`: the image is saved, or could not be, for which `Leave` follows or has come before."""

    kind: Literal["saved"] = "saved"
    index: int
    well: bool


class StillWorks(Word):
    """Asks whether the GPU can still be used."""

    kind: Literal["still works"] = "still works"


class Ready(Word):
    """Everything is loaded."""

    kind: Literal["ready"] = "ready"


class Begin(Word):
    """Asks whether the next batch may be begun."""

    kind: Literal["begin"] = "begin"


class Estimate(Word):
    """The seconds that are left."""

    kind: Literal["estimate"] = "estimate"
    seconds: float


class Image(Word):
    """A `DrawnImage`; behind it the pixels as RGB."""

    kind: Literal["image"] = "image"
    index: int
    size: Size
    seconds: float
    drawn_with: DrawnWith
    flagged: bool | None = None


class Log(Word):
    """A line for the log, or several; `level` is one of `logging`'s numbers."""

    kind: Literal["log"] = "log"
    level: int
    text: str


class Drawn(Word):
    """All images are drawn and saved."""

    kind: Literal["drawn"] = "drawn"


class Failed(Word):
    """The drawing has ended early: because it was told to `leave`, or with the error of `why`, whose words are `text`.

    `number` is that of the system's error.
    """

    kind: Literal["failed"] = "failed"
    why: Literal["left", "run", "passing", "system", "unforeseen"]
    text: str = ""
    number: int = 0


class Works(Word):
    """Answers `StillWorks`."""

    kind: Literal["works"] = "works"
    works: bool


Asked = Draw | Go | Leave | Saved | StillWorks
Said = Ready | Begin | Estimate | Image | Log | Drawn | Failed | Works
ASKED: TypeAdapter[Asked] = TypeAdapter(Annotated[Asked, Field(discriminator="kind")])
SAID: TypeAdapter[Said] = TypeAdapter(Annotated[Said, Field(discriminator="kind")])
