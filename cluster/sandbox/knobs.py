"""How the sandbox misbehaves and how strict it is; set when it starts or while it runs."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[int, Field(ge=0, le=7 * 86_400_000)]


class Knobs(BaseModel):
    """All knobs. The defaults are Meta's documented behaviour on a good day.

    Attributes:
        pair_limit: whether the rate to one customer is limited (131056): one message in ``pair_interval_s``,
            with ``pair_burst`` in advance.
        throughput_mps: messages a second of one business number, in and out (130429); None is without limit.
        customer_window: what becomes of a message other than a template when the customer has not written to the
            sandbox's knowledge for 24 hours (131047): refused at once, failed later, or let through.
        allowed_recipients: phone numbers that may be written to, as for Meta's test numbers (131030); None is all.
        maintenance: refuse every message (131057).
        error_131000: share of messages that are refused with "something went wrong".
        error_131016: share of messages that are refused with "service unavailable".
        answer_delay_ms: how long the Graph API thinks before it answers.
        lost_answer: share of messages that are accepted while their sender gets no answer.
        fail: share of messages that are accepted and then reported as failed, with ``fail_code``.
        sent_after_ms: from acceptance to the status; so are the next two.
        drop_statuses: share of messages of which no status ever comes.
        drop_sent: share of messages whose status ``sent`` never comes; so are the next two.
        duplicate_statuses: share of statuses that come twice.
        reorder_statuses: share of messages whose statuses come in another order.
        batch_max: updates in one webhook at most; they travel together when they wait for a free sender.
        duplicate_webhooks: share of webhooks that are sent twice at almost the same time.
        webhooks_paused: keep webhooks waiting.
        redelivery_first_ms: from a failed delivery to the next one; grows by ``redelivery_factor`` each time up to
            ``redelivery_max_ms``, and ends ``redelivery_for_s`` after the first delivery.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pair_limit: bool = True
    pair_interval_s: Annotated[float, Field(gt=0, le=3600)] = 6.0
    pair_burst: Annotated[int, Field(ge=1, le=10_000)] = 45
    throughput_mps: Annotated[int, Field(ge=1, le=100_000)] | None = 80
    customer_window: Literal["off", "sync", "async"] = "off"
    allowed_recipients: Annotated[tuple[str, ...], Field(max_length=1000)] | None = None
    maintenance: bool = False
    error_131000: Share = 0.0
    error_131016: Share = 0.0
    answer_delay_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    lost_answer: Share = 0.0
    fail: Share = 0.0
    fail_code: Literal[131026, 131047, 131049, 130472, 131000] = 131026
    sent_after_ms: Milliseconds = 50
    delivered_after_ms: Milliseconds = 300
    read_after_ms: Milliseconds = 1_500
    drop_statuses: Share = 0.0
    drop_sent: Share = 0.0
    drop_delivered: Share = 0.0
    drop_read: Share = 0.0
    duplicate_statuses: Share = 0.0
    reorder_statuses: Share = 0.0
    batch_max: Annotated[int, Field(ge=1, le=1000)] = 100
    duplicate_webhooks: Share = 0.0
    webhooks_paused: bool = False
    redelivery_first_ms: Annotated[int, Field(ge=1, le=86_400_000)] = 1_000
    redelivery_factor: Annotated[float, Field(ge=1, le=100)] = 2.0
    redelivery_max_ms: Annotated[int, Field(ge=1, le=7 * 86_400_000)] = 4 * 3_600_000
    redelivery_for_s: Annotated[int, Field(ge=0, le=30 * 86_400)] = 7 * 86_400

    def turned(self, changes: Mapping[str, Any]) -> "Knobs":
        """A copy with some knobs changed, given as JSON values.

        Raises:
            pydantic.ValidationError: naming each knob that is unknown or out of range.
        """
        return Knobs.model_validate_json(orjson.dumps({**self.model_dump(mode="json"), **changes}))


class Panel:
    """The knobs as they are turned now; everything reads them here at each use."""

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
