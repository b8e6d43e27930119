"""What a person sees, and that nothing depends on it."""

import errno
import io

import pytest

from cluster.screen import LastingConsole, Place, Screen


class FailingFile(io.StringIO):
    """Standard output of which the system says that it cannot be written."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def flush(self) -> None:
        raise OSError(self._number, "cannot be written")


def _all_of_it(screen: Screen) -> None:
    screen.begin("/data")
    screen.part_up("Redis", 0.1, "here")
    screen.ready([Place("API", "http://127.0.0.1:8000")], "Try this.")
    screen.warn("Redis was killed")
    screen.ending()
    screen.ended(1.0)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO])
def test_what_cannot_be_written_ends_nothing(number: int) -> None:
    _all_of_it(Screen(LastingConsole(file=FailingFile(number))))


def test_parts_places_and_warnings_are_written() -> None:
    file = io.StringIO()

    _all_of_it(Screen(LastingConsole(file=file, soft_wrap=True)))

    for expected in (
        "Spaza starts in /data",
        "Redis ",
        "http://127.0.0.1:8000",
        "Redis was killed",
        "Ended after 1.0 s",
    ):
        assert expected in file.getvalue()
