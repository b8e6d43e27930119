"""What a unit's error means for its messages: come again, or find out which of them is at fault. Pure."""

from enum import Enum

from actors.mailbox.message import Outcome, dead_letter, reject, retry_after
from actors.shards.errors import UnitFailedError
from kernel.errors import SpazaError

# Of PostgreSQL's codes: the data given, or the rows it meets. All others are about the shard or our own code at large
# (a table that is not there yet, a right that is missing), and mending them makes the messages good.
_DATA, _CONSTRAINT = "22", "23"


class Blame(Enum):
    """Whose fault an error is."""

    SHARD = "shard"
    """Nobody's among the messages; all come again."""
    MESSAGE = "message"
    """One of the messages; it is to be found."""


def blame(error: SpazaError) -> Blame:
    """Whether one of the messages of a failed unit may be at fault."""
    if isinstance(error, UnitFailedError) and error.sqlstate[:2] in {"", _DATA, _CONSTRAINT}:
        return Blame.MESSAGE
    return Blame.SHARD


def come_again(error: SpazaError, delay_s: float) -> Outcome:
    """The outcome of messages whose shard failed.

    Args:
        error: says itself how long to wait, or does not.
        delay_s: to wait where it does not.
    """
    own = getattr(error, "retry_after_s", None)
    return retry_after(delay_s if own is None else own, error.code)


def convict(error: SpazaError) -> Outcome:
    """The outcome of the one message of a failed unit.

    A collision with another transaction's rows, such as the same new customer in two batches, passes; it is
    tried as often as the queue allows, and the queue counts nothing else.
    """
    state = error.sqlstate if isinstance(error, UnitFailedError) else ""
    reason = f"unit_failed:{state}" if state else "unit_failed"
    return reject(reason) if state[:2] == _CONSTRAINT else dead_letter(reason)
