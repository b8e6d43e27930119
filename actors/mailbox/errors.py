"""The mailbox's errors.

SpazaError
    MailboxError
        JournalUnavailableError   the journal was not written in time, or it is not known: repeat the call
            OwnerNotReadyError    the owner answers, but has not taken its partition over yet
        JournalRefusedError       the journal cannot hold what it was given; nothing of it was written
        OwnerUnreachableError     the owner did not answer; what it was sent may be written
        PublishFailedError        the owner could not be reached however often it was tried
        FencedError               another owner has taken the partition over
        OverloadedError           the waiting line of a partition, or of this publisher, is full
        QueueFullError            as much waits in the queue as may, in all or of one tenant
        TopologyChangeError       the declaration would leave messages behind
        UnroutableError           no exchange of that name, or no queue is bound for that routing key
        InvalidMessageError       the journal cannot hold such a message
        UnknownQueueError         an operator named a queue that is not declared
"""

from kernel.errors import SpazaError


class MailboxError(SpazaError):
    """Something about a mailbox."""

    code = "mailbox"
    http_status = 503
    retryable = True


class JournalUnavailableError(MailboxError):
    """The message may or may not be in the journal: publish it again under the same id."""

    code = "journal_unavailable"

    def __init__(self, queue: str, detail: str) -> None:
        super().__init__(queue, detail)
        self.queue, self.detail = queue, detail

    def __str__(self) -> str:
        return f"the journal of {self.queue} cannot be written: {self.detail}"


class JournalRefusedError(MailboxError):
    """What was given cannot be written, now or later, and was not; in doubt is nothing."""

    code = "journal_refused"
    http_status = 500
    retryable = False

    def __init__(self, queue: str, detail: str) -> None:
        super().__init__(queue, detail)
        self.queue, self.detail = queue, detail

    def __str__(self) -> str:
        return f"the journal of {self.queue} cannot hold this: {self.detail}"


class OwnerNotReadyError(JournalUnavailableError):
    """Nothing was written; the owner will be ready in a moment, or another one is."""

    code = "mailbox_owner_not_ready"

    def __str__(self) -> str:
        return f"{self.queue} takes no messages yet: {self.detail}"


class OwnerUnreachableError(MailboxError):
    """The owner of a partition did not answer: publish again under the same ids."""

    code = "mailbox_owner_unreachable"

    def __init__(self, queue: str, detail: str) -> None:
        super().__init__(queue, detail)
        self.queue, self.detail = queue, detail

    def __str__(self) -> str:
        return f"the owner of {self.queue} cannot be reached: {self.detail}"


class PublishFailedError(MailboxError):
    """Every try failed. To publish again under the same ids is safe.

    Attributes:
        queue: that could not be reached.
        dead_lettered: whether the messages stand in its dead-letter queue now, from where they can be redriven.
        detail: of the last try.
    """

    code = "publish_failed"

    def __init__(self, queue: str, dead_lettered: bool, detail: str) -> None:
        super().__init__(queue, dead_lettered, detail)
        self.queue, self.dead_lettered, self.detail = queue, dead_lettered, detail

    def __str__(self) -> str:
        kept = "kept in its dead-letter queue" if self.dead_lettered else "not kept anywhere"
        return f"publishing to {self.queue} failed ({self.detail}); the messages are {kept}"


class FencedError(MailboxError):
    """A write under an epoch that is no longer the partition's; nothing of it was written."""

    code = "mailbox_fenced"

    def __init__(self, queue: str, partition: int, epoch: int) -> None:
        super().__init__(queue, partition, epoch)
        self.queue, self.partition, self.epoch = queue, partition, epoch

    def __str__(self) -> str:
        return f"epoch {self.epoch} of {self.queue} partition {self.partition} is over; another owner writes it now"


class OverloadedError(MailboxError):
    """Too much is waiting already; nothing of this call was accepted."""

    code = "mailbox_overloaded"

    def __init__(self, queue: str, retry_after_s: float) -> None:
        super().__init__(queue, retry_after_s)
        self.queue, self.retry_after_s = queue, retry_after_s

    def __str__(self) -> str:
        return f"too many messages wait to be written to {self.queue}; try again in {self.retry_after_s:g} s"


class QueueFullError(MailboxError):
    """A limit of the queue would be exceeded. What tenants that are not refused have in the same call is taken.

    Attributes:
        queue: that is full.
        limit: messages that may wait.
        tenant: whose share is used up; empty where the whole queue is full.
        retry_after_s: when it may be worth trying again.
        refused: all tenants whose messages were not taken, none of them.
    """

    code = "queue_full"

    def __init__(
        self, queue: str, limit: int, tenant: str, retry_after_s: float, refused: tuple[str, ...] = ()
    ) -> None:
        super().__init__(queue, limit, tenant, retry_after_s, refused)
        self.queue, self.limit, self.tenant, self.retry_after_s = queue, limit, tenant, retry_after_s
        self.refused = refused

    def __str__(self) -> str:
        whose = f" of tenant {self.tenant}" if self.tenant else ""
        return f"{self.limit} messages{whose} may wait in {self.queue} here; try again in {self.retry_after_s:g} s"


class TopologyChangeError(MailboxError):
    """What is declared now cannot be applied to what waits: one line for each reason, with the remedy."""

    code = "topology_change"
    http_status = 500
    retryable = False

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(self.faults)


class UnroutableError(MailboxError):
    """The topology has no place for the message."""

    code = "unroutable"
    http_status = 500
    retryable = False

    def __init__(self, exchange: str, routing_key: str) -> None:
        super().__init__(exchange, routing_key)
        self.exchange, self.routing_key = exchange, routing_key

    def __str__(self) -> str:
        return f"no queue is bound to exchange {self.exchange!r} for routing key {self.routing_key!r}"


class InvalidMessageError(MailboxError):
    """A message that no journal row can hold; publishing it again is no use."""

    code = "message_invalid"
    http_status = 500
    retryable = False

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule

    def __str__(self) -> str:
        return f"the message cannot be published: {self.rule}"


class UnknownQueueError(MailboxError):
    """A queue of this name is not declared, or it has no dead letters, or as a dead-letter queue no consumer."""

    code = "unknown_queue"
    http_status = 404
    retryable = False

    def __init__(self, queue: str, known: tuple[str, ...]) -> None:
        super().__init__(queue, known)
        self.queue, self.known = queue, known

    def __str__(self) -> str:
        return f"there is no queue {self.queue!r}; the queues are {', '.join(self.known)}"
