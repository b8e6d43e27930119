"""What a reason may be, so that the journal can hold it: consumers write it, often with what they could not read."""

LONGEST = 500


def storable(reason: str) -> str:
    """A reason as the journal keeps it: at most 500 characters, without NUL and halves of surrogate pairs.

    Neither PostgreSQL's text nor JSON takes those; one such reason would keep its whole partition from being written.
    """
    return reason[:LONGEST].replace("\0", "").encode(errors="replace").decode()
