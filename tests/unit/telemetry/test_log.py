import builtins
import errno
import io
import json

import pytest

from telemetry.log import configure_logging, correlation_ids, get_logger


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_one_json_object_with_event_component_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()

    get_logger("mailbox").info("batch_settled", count=3)

    [line] = lines(capsys)
    assert line["event"] == "batch_settled"
    assert (line["component"], line["count"], line["level"]) == ("mailbox", 3, "info")


def test_of_many_messages_the_first_few_ids_are_logged_each_once() -> None:
    headers = [{"correlation_id": one} for one in ("a", "a", "", "b", "c", "d")]

    assert correlation_ids([{}, *headers]) == ["a", "b", "c"]


def test_fields_that_may_hold_personal_data_or_secrets_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()

    get_logger("notifier").warning("send_failed", to="+27821110001", access_token="EAAG", code=131026)

    [line] = lines(capsys)
    assert (line["to"], line["access_token"], line["code"]) == ("***", "***", 131026)


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("WARNING")

    get_logger("mailbox").info("not_shown")

    assert lines(capsys) == []


class FullDisk(io.StringIO):
    """Takes nothing while it is full."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_line_that_cannot_be_written_harms_nobody_and_is_counted_with_the_next() -> None:
    disk = FullDisk()
    configure_logging(stream=disk)
    log = get_logger("mailbox")
    log.warning("first")
    log.error("second", exc_info=ValueError("whatever"))
    disk.full = False

    log.info("third")

    written = [json.loads(line) for line in disk.getvalue().splitlines()]
    assert [(line["event"], line.get("lines")) for line in written] == [("log_lines_lost", 2), ("third", None)]


def test_nothing_that_is_logged_can_harm_who_logs_it(capsys: pytest.CaptureFixture[str]) -> None:
    class Unspeakable:
        def __str__(self) -> str:
            raise RuntimeError("no")

    configure_logging()

    get_logger("mailbox").warning("odd", half="\ud800", huge=1 << 70, name=Unspeakable())

    [line] = lines(capsys)
    assert (line["event"], line["component"], line["half"], line["huge"]) == ("odd", "mailbox", "\ud800", 1 << 70)
    assert "Unspeakable" in str(line["name"])


def test_a_traceback_is_whole_where_ray_serve_has_replaced_print(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What Serve's does with a file of the caller's own: it passes its arguments on as one.
    original = print
    monkeypatch.setattr(builtins, "print", lambda *objects, **options: original(objects, **options))
    configure_logging()

    nothing: dict[str, int] = {}

    try:
        nothing["inner"]
    except KeyError:
        get_logger("mailbox").exception("failed")

    [line] = lines(capsys)
    told = str(line["exception"]).splitlines()
    assert (told[0], told[-1]) == ("Traceback (most recent call last):", "KeyError: 'inner'")
    assert "exc_info" not in line
