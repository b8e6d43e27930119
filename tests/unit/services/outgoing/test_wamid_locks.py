from datetime import UTC, datetime

from services.notifications.store import RecordArguments, record_call
from services.outgoing.delivery_state import rank_of_status
from services.outgoing.wamid_locks import wamid_locks
from services.whatsapp.inbound import StatusUpdate
from services.whatsapp.store import StatusesArguments, statuses_call

TENANT, OTHER = "a" * 32, "b" * 32


def status(wamid: str, state: str = "sent", ours: str | None = None) -> StatusUpdate:
    return StatusUpdate(wamid, "100", "", state, rank_of_status(state), datetime.now(UTC), ours, None, b"")


def status_locks(*statuses: StatusUpdate) -> tuple[int, ...]:
    return statuses_call(3, TENANT, StatusesArguments(statuses, 0.0)).locks


def record_locks(*wamids: str) -> tuple[int, ...]:
    accepted = [(f"id-{wamid}", wamid) for wamid in wamids]
    return record_call(3, TENANT, RecordArguments(accepted, [], [], 0.0)).locks


def test_who_records_a_wamid_and_who_keeps_its_status_hold_the_same_lock() -> None:
    assert record_locks("w1", "w2") == status_locks(status("w2"), status("w1"), status("w1", "read"))
    assert record_locks("w1") != record_locks("w2")


def test_what_needs_no_meeting_takes_no_lock() -> None:
    assert status_locks(status("w1", ours="f" * 32), status("w2", "unheard-of")) == ()
    assert record_call(3, TENANT, RecordArguments([], [("one", "auth", 190)], ["two"], 0.0)).locks == ()


def test_keys_are_distinct_ascending_64_bit_and_each_tenants_own() -> None:
    locks = wamid_locks(TENANT, [f"w{n % 50}" for n in range(100)])

    assert len(locks) == 50
    assert list(locks) == sorted(locks)
    assert all(-(2**63) <= lock < 2**63 for lock in locks)
    assert not {*locks} & {*wamid_locks(OTHER, [f"w{n}" for n in range(50)])}


def test_any_text_that_meta_sends_has_a_key() -> None:
    assert len(wamid_locks(TENANT, ["", "wamid.ä", "\ud800", "\0"])) == 4
