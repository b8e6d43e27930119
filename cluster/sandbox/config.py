"""What the sandbox is told when it starts."""

from dataclasses import dataclass, field
from pathlib import Path

from cluster.sandbox.knobs import Knobs


@dataclass(frozen=True, slots=True)
class Bounds:
    """Nothing in the sandbox grows for ever; what is beyond these is forgotten (oldest first) or dropped and counted.

    Attributes:
        outbox_messages: sent messages that are remembered.
        outbox_bytes: the same, by the size of their payloads.
        pending_statuses: statuses that wait for their time.
        pending_updates: updates that wait to be delivered or redelivered to the callback.
        senders: webhooks under way to the callback at once.
        customers: customers whose last message is remembered, and pairs under the pair limit.
        numbers: business phone numbers.
        body_bytes: the body of one request.
        unanswered: requests that are left without an answer at once, by the knob ``lost_answer``.
    """

    outbox_messages: int = 50_000
    outbox_bytes: int = 64 * 1024 * 1024
    pending_statuses: int = 300_000
    pending_updates: int = 50_000
    senders: int = 16
    customers: int = 100_000
    numbers: int = 10_000
    body_bytes: int = 256 * 1024
    unanswered: int = 1_000


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """Settings of one sandbox.

    Attributes:
        port: 0 takes a free one.
        callback_url: Spaza's webhook; None sends no webhooks until there is one.
        data_dir: where the registered numbers are kept over a restart; None keeps them in memory alone.
        attempt_timeout_s: how long one delivery to the callback may take.
        seed: of the random knobs; None is another one each time.
    """

    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8400
    callback_url: str | None = None
    data_dir: Path | None = None
    knobs: Knobs = field(default_factory=Knobs)
    bounds: Bounds = field(default_factory=Bounds)
    attempt_timeout_s: float = 10.0
    seed: int | None = None
    log_level: str = "INFO"
