"""Which process of an actor's name owns a partition, and which of them may take it from another at once.

An actor that Ray starts again has the name of the one before, which may live on where Ray cannot see it. Were the name
alone enough to take over at once, the two would take the partition from each other for ever.
"""

from kernel.identifiers import new_id

_MARK = "#"


def incarnation(name: str) -> str:
    """The name of an owner for this process alone. Those made later are younger."""
    return f"{name}{_MARK}{new_id()}"


def succeeds(owner: str, holder: str) -> bool:
    """Whether an owner may take over from who holds a partition without waiting for the lease to lapse.

    It may from nobody, from itself, and from an elder of its name; never from a younger one, so that the last to be
    started is left alone and no two of a name ever take from each other in turn.

    Weakness: the age is by the clock of the machine where each was started. One that is started anew where the clock is
    behind by more than the other has lived waits for the lease. A name without an age is the eldest.
    """
    if holder in {"", owner}:
        return True
    name, born = _parts(owner)
    holders_name, holder_born = _parts(holder)
    return name == holders_name and born > holder_born


def _parts(owner: str) -> tuple[str, str]:
    name, mark, born = owner.rpartition(_MARK)
    return (name, born) if mark else (owner, "")
