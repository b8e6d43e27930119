"""What operators send, checked at the edge."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from actors.mailbox.operations import Place
from actors.mailbox.selection import Selection, Which


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


Moment = Annotated[datetime, AfterValidator(_in_utc)]
# PostgreSQL takes no NUL.
Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class QueuePath(BaseModel):
    """Which queue."""

    queue: str = Field(examples=["whatsapp.inbound"])


class Filter(_Given):
    """Which messages. Times are of their publication; without a zone they are UTC."""

    tenant: Text | None = None
    key: Text | None = None
    reason: Text | None = None
    since: Moment | None = None
    until: Moment | None = None
    ids: Annotated[list[Text], Field(min_length=1, max_length=1000)] | None = None

    @property
    def restricts(self) -> bool:
        """Whether it leaves anything out."""
        return any(getattr(self, name) is not None for name in Filter.model_fields)

    def selection(self) -> Selection:
        """As the mailbox takes it."""
        return Selection(
            tenant=self.tenant,
            key=self.key,
            reason=self.reason,
            since=None if self.since is None else self.since.timestamp(),
            until=None if self.until is None else self.until.timestamp(),
            ids=None if self.ids is None else tuple(self.ids),
        )


class PeekQuery(Filter):
    """What is to be shown.

    Attributes:
        after: where to go on, as the answer before said.
        body: how many bytes of each body.
        unmasked: with customers' phone numbers; that is recorded.
    """

    which: Which = "waiting"
    limit: int = Field(default=20, ge=1, le=200)
    after: str = Field(default="0:0", pattern=r"^\d{1,4}:\d{1,19}$")
    body: int = Field(default=0, ge=0, le=65_536)
    unmasked: bool = False

    @field_validator("after")
    @classmethod
    def _is_a_place(cls, value: str) -> str:
        if int(value.split(":")[1]) >= 1 << 63:
            raise ValueError("is no place that an answer has named")
        return value

    @property
    def place(self) -> Place:
        """Where to go on."""
        partition, seq = self.after.split(":")
        return Place(int(partition), int(seq))


class ChangeRequest(Filter):
    """What redrive and purge have in common.

    Attributes:
        all: has to be said where the filter leaves nothing out.
        limit: messages of this call at most; the answer says whether there is more.
    """

    all: bool = Field(default=False, strict=True)
    dry_run: bool = Field(default=False, strict=True)
    limit: int = Field(default=10_000, ge=1, le=1_000_000, strict=True)
    per_s: float | None = Field(default=None, gt=0, le=100_000, strict=True)


class RedriveRequest(ChangeRequest):
    """Which dead letters to put back.

    What died as ``corrupt/checksum`` was damaged where it was kept, and nobody knows what it had said. It is left, and
    counted as ``left_corrupt``, unless ``reason`` is ``corrupt`` or ``checksum``; then it is put back as it is.

    Attributes:
        force: also those that may reach a customer twice then.
        began: of a redrive that is gone on with, as its first answer said; leaves out what died anew since.
    """

    force: bool = Field(default=False, strict=True)
    began: Moment | None = None


class PurgeRequest(ChangeRequest):
    """Which messages to settle as purged.

    Attributes:
        which: what waits, or the dead letters; of a dead-letter queue's name always these.
    """

    which: Which = "waiting"


class TraceQuery(_Given):
    """One message, named in one way.

    Attributes:
        phone_number_id: of the number that received the wamid, where it is known; saves a search.
        hours: how far back an order or correlation id is searched for.
    """

    message_id: Text | None = None
    wamid: Text | None = None
    order_id: Text | None = None
    correlation_id: Text | None = None
    phone_number_id: Text | None = None
    hours: int = Field(default=24, ge=1, le=24 * 8)
    unmasked: bool = False

    @property
    def named(self) -> list[tuple[Literal["message_id", "wamid", "order_id", "correlation_id"], str]]:
        """The ways in which it is named."""
        names: tuple[Literal["message_id", "wamid", "order_id", "correlation_id"], ...] = (
            "message_id", "wamid", "order_id", "correlation_id",
        )  # fmt: skip
        return [(name, value) for name in names if (value := getattr(self, name)) is not None]


class ListQuery(_Given):
    """How many tenants to show for each queue, the deepest first; 0 leaves out whatever has to be counted."""

    tenants: int = Field(default=100, ge=0, le=10_000)


class ActionsQuery(_Given):
    """Which actions to read, the latest first."""

    limit: int = Field(default=50, ge=1, le=500)
    before: Moment | None = None
    queue: Text | None = None


class NoFields(_Given):
    """A body without fields."""
