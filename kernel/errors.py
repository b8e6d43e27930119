"""The root of every package's error tree.

SpazaError
    each package hangs its own tree below it (see the ``errors`` module there)

Errors cross process borders by pickle, so a subclass passes all its arguments to ``super().__init__`` and
builds its text in ``__str__``. ``tests/architecture`` constructs and round-trips each of them.
"""

from typing import ClassVar


class SpazaError(Exception):
    """An error that Spaza understands: it says what it is called, how HTTP names it and whether to try again.

    Attributes:
        code: stable machine name, snake_case.
        http_status: the status with which the edge answers it.
        retryable: whether the same call may succeed later without being changed.
    """

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
