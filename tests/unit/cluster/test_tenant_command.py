"""``spaza tenant`` without an instance: what it asks for, what it says, and exports that break off."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import tenant_command
from cluster.cli import FAILED, MISUSED, main
from cluster.errors import AdminRefusedError, NotRunningError

ID = "0" * 31 + "1"
CREATED = {"success": True, "tenant_id": ID, "shard_id": 3, "credential": {"kid": "k1", "secret": "c2VjcmV0"}}
FIRST = {"export": 1, "tenant_id": ID, "name": "Shop", "digest": "d1"}
ROWS = [{"table": "product", "key": [ID, f"sku-{n}"], "row": {"sku": f"sku-{n}"}} for n in range(3)]
END = {"end": True, "rows": {"product": 3}, "digest": "d1"}


class FakeClient:
    """Answers in turn, and remembers what it was asked."""

    answers: list[Any]
    asked: list[tuple[str, str, Any]]
    keys: list[str | None]
    exports: list[Any]

    def __init__(self, *_: object) -> None:
        pass

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        return self.send("GET", path, **query)

    def post(self, path: str, **fields: Any) -> dict[str, Any]:
        return self.send("POST", path, fields or None)

    def send(
        self, method: str, path: str, document: Any = None, *, idempotency_key: str | None = None, **query: Any
    ) -> dict[str, Any]:
        given = document if document is not None else {name: one for name, one in query.items() if one is not None}
        FakeClient.asked.append((method, path, given))
        FakeClient.keys.append(idempotency_key)
        answer: dict[str, Any] = FakeClient.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def lines(self, path: str, **query: Any) -> Iterator[bytes]:
        FakeClient.asked.append(("GET", path, query))
        for one in FakeClient.exports.pop(0):
            if isinstance(one, Exception):
                raise one
            yield json.dumps(one).encode() + b"\n"


@pytest.fixture(autouse=True)
def instance(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeClient.answers, FakeClient.asked, FakeClient.keys, FakeClient.exports = [], [], [], []
    monkeypatch.setattr(tenant_command, "AdminClient", FakeClient)
    monkeypatch.setattr("sys.stdin", io.StringIO())


def run(*arguments: str) -> int:
    return main(["tenant", *arguments])


def test_flags_make_the_document_of_the_api_and_win_over_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "shop.json"
    file.write_text(json.dumps({"name": "Old", "location": {"lat": 1, "lon": 2}, "whatsapp": {"access_token": "t"}}))
    FakeClient.answers = [CREATED]

    status = run(
        "create", "--file", str(file), "--name", "New", "--number", "1000=+27110000001", "--lat", "3",
        "--paystack-secret-key", "sk", "--minute", "5",
    )  # fmt: skip

    assert status == 0
    assert FakeClient.asked == [
        ("POST", "", {
            "name": "New",
            "location": {"lat": 3.0, "lon": 2},
            "whatsapp": {"access_token": "t"},
            "phone_numbers": [{"phone_number_id": "1000", "display_phone_number": "+27110000001"}],
            "payments": {"paystack": {"secret_key": "sk"}},
            "limits": {"minute": 5},
        }),
    ]  # fmt: skip
    said = capsys.readouterr().out
    assert "c2VjcmV0" in said
    assert "not shown again" in said


def test_each_request_has_a_key_of_its_own_unless_one_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    FakeClient.answers = [CREATED, CREATED, CREATED]

    for arguments in ([], [], ["--idempotency-key", "mine"]):
        run("create", "--name", "Shop", "--json", *arguments)

    assert len({*FakeClient.keys}) == 3
    assert FakeClient.keys[2] == "mine"
    assert json.loads(capsys.readouterr().out.split("}\n{")[0] + "}")["tenant_id"] == ID


def test_a_token_is_printed_alone_and_the_only_merchant_need_not_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    signed = {"tenant_id": ID, "kid": "k1", "token": "a.b.c", "expires_at": "2026-11-29T10:00:00Z"}
    FakeClient.answers = [{"tenants": [{"tenant_id": ID}]}, signed, signed]

    assert run("token") == 0
    assert run("token", ID, "--seconds", "60") == 0

    assert capsys.readouterr().out == "a.b.c\na.b.c\n"
    assert FakeClient.asked == [
        ("GET", "", {"limit": 2}), ("POST", f"/{ID}/token", {}), ("POST", f"/{ID}/token", {"ttl_s": 60}),
    ]  # fmt: skip


@pytest.mark.parametrize(("tenants", "remedy"), [(0, "spaza tenant create"), (2, "spaza tenant list")])
def test_of_several_merchants_one_has_to_be_named(
    tenants: int, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeClient.answers = [{"tenants": [{"tenant_id": ID}] * tenants}]

    assert run("token") == FAILED
    assert remedy in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_file_that_describes_nothing_is_refused(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "shop.json"
    file.write_text(text)

    assert run("create", "--file", str(file)) == FAILED

    assert "--file" in capsys.readouterr().err
    assert FakeClient.asked == []


def test_a_number_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(SystemExit) as caught:
        run("create", "--number", "27110000001")

    assert caught.value.code == MISUSED


def test_a_list_goes_through_all_pages_and_fails_where_shards_are_missing(capsys: pytest.CaptureFixture[str]) -> None:
    one = {"tenant_id": ID, "name": "Shop", "state": "active", "shard_id": 3, "created_at": "x", "phone_numbers": ["1"]}
    FakeClient.answers = [
        {"tenants": [one], "next_cursor": ID, "missing_shards": []},
        {"tenants": [one], "next_cursor": None, "missing_shards": [7]},
    ]

    assert run("list") == 1

    assert [query.get("cursor") for _, _, query in FakeClient.asked] == [None, ID]
    said = capsys.readouterr().out
    assert said.count("Shop") == 2
    assert "7 did not answer" in said


def test_a_removal_wants_a_yes_where_nobody_can_be_asked(tmp_path: Path) -> None:
    FakeClient.answers = [{"tenant_id": ID, "name": "Shop", "state": "active"}]

    assert run("remove", ID, "--export", str(tmp_path / "x")) == 2

    assert len(FakeClient.asked) == 1


@pytest.mark.parametrize("name", ["none/shop.ndjson", ".", "letter.txt"])
def test_a_removal_gives_up_nobody_whose_export_cannot_be_written(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("Dear Thandi")
    FakeClient.answers = [{"tenant_id": ID, "name": "Shop", "state": "active"}]

    assert run("remove", ID, "--export", str(tmp_path / name), "--yes") == FAILED

    assert [method for method, _, _ in FakeClient.asked if method != "GET"] == []
    assert (tmp_path / "letter.txt").read_text() == "Dear Thandi"
    assert "Nothing was removed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "said"),
    [("removing", f"spaza tenant resume {ID}"), ("dropping", "To finish"), ("active", "is active, as before")],
)
def test_a_removal_that_fails_on_its_way_says_where_it_stands_and_the_ways_from_there(
    tmp_path: Path, state: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "shop.ndjson"
    shown = {"tenant_id": ID, "name": "Shop", "state": "active"}
    FakeClient.answers = [shown, {}, {**shown, "state": state}]
    FakeClient.exports = [[FIRST, NotRunningError(tmp_path, "broke off")]]

    assert run("remove", ID, "--export", str(file), "--yes") == FAILED

    assert said in capsys.readouterr().err


def test_a_removal_of_which_nobody_answers_says_what_may_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = NotRunningError(tmp_path, "its API does not answer")
    FakeClient.answers = [{"tenant_id": ID, "name": "Shop", "state": "active"}, gone, gone]

    assert run("remove", ID, "--export", str(tmp_path / "shop.ndjson"), "--yes") == FAILED

    assert "may be removing by now" in capsys.readouterr().err


def test_a_removal_gives_up_exports_and_then_takes_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "shop.ndjson"
    FakeClient.answers = [{"tenant_id": ID, "name": "Shop", "state": "active"}, {}, {"tenant_id": ID}]
    FakeClient.exports = [[FIRST, *ROWS, END]]

    assert run("remove", ID, "--export", str(file), "--yes") == 0

    assert [(method, path) for method, path, _ in FakeClient.asked] == [
        ("GET", f"/{ID}"), ("POST", f"/{ID}/remove"), ("GET", f"/{ID}/export"), ("DELETE", f"/{ID}"),
    ]  # fmt: skip
    assert FakeClient.asked[-1][2] == {"digest": "d1"}
    assert [json.loads(line) for line in file.read_text().splitlines()] == [FIRST, *ROWS, END]
    # It holds what the merchant knows of its customers.
    assert file.stat().st_mode & 0o777 == 0o600
    assert "3 rows" in capsys.readouterr().out


def test_an_export_that_broke_off_is_gone_on_with_behind_its_last_whole_row(tmp_path: Path) -> None:
    file = tmp_path / "shop.ndjson"
    state = {"tenant_id": ID, "name": "Shop", "state": "removing"}
    FakeClient.answers = [state, state, state, {"tenant_id": ID}]
    FakeClient.exports = [[FIRST, *ROWS[:2], NotRunningError(tmp_path, "broke off")], [ROWS[2], END]]

    assert run("remove", ID, "--export", str(file), "--yes") == FAILED
    with file.open("ab") as end:
        end.write(b'{"table": "prod')
    assert run("remove", ID, "--export", str(file), "--yes") == 0

    place = {"table": "product", "key": json.dumps(ROWS[1]["key"]), "digest": "d1"}
    assert FakeClient.asked[-2] == ("GET", f"/{ID}/export", place)
    assert [json.loads(line) for line in file.read_text().splitlines()] == [FIRST, *ROWS, END]


def test_an_export_whose_rows_have_changed_since_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "shop.ndjson"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in (FIRST, ROWS[0])))
    FakeClient.answers = [{"tenant_id": ID, "name": "Shop", "state": "removing"}, {"tenant_id": ID}]
    other, end = {**FIRST, "digest": "d2"}, {**END, "digest": "d2"}
    FakeClient.exports = [[AdminRefusedError(409, "rows changed")], [other, *ROWS, end]]

    assert run("remove", ID, "--export", str(file), "--yes") == 0

    assert FakeClient.asked[-1][2] == {"digest": "d2"}
    assert len(file.read_text().splitlines()) == 5


@pytest.mark.parametrize("text", ["hello\n", json.dumps({**FIRST, "tenant_id": "another"}) + "\n", "[]\n"])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "letter.txt"
    file.write_text(text)
    FakeClient.answers = [{"tenant_id": ID, "name": "Shop", "state": "removing"}]

    assert run("remove", ID, "--export", str(file), "--yes") == FAILED

    assert file.read_text() == text


def test_a_removal_that_crashed_after_its_export_is_finished_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "shop.ndjson"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in (FIRST, *ROWS, END)))
    FakeClient.answers = [{"tenant_id": ID, "name": "Shop", "state": "dropping"}, {"tenant_id": ID}]

    assert run("remove", ID, "--export", str(file), "--yes") == 0

    assert [method for method, _, _ in FakeClient.asked] == ["GET", "DELETE"]


def test_a_whole_export_of_an_earlier_time_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "shop.ndjson"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in (FIRST, *ROWS, END)))
    state = {"tenant_id": ID, "name": "Shop", "state": "removing"}
    FakeClient.answers = [state, AdminRefusedError(409, "rows changed"), {"tenant_id": ID}]
    FakeClient.exports = [[{**FIRST, "digest": "d2"}, {**END, "digest": "d2"}]]

    assert run("remove", ID, "--export", str(file), "--yes") == 0

    assert FakeClient.asked[-1][2] == {"digest": "d2"}
    assert len(file.read_text().splitlines()) == 2


def test_resealing_goes_on_until_it_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    part = {"complete": False, "resealed": 100, "unopened": 0, "missing_shards": [], "forgotten_keys": 0}
    FakeClient.answers = [part, {**part, "complete": True, "resealed": 20, "forgotten_keys": 1}]

    assert run("reseal", "--json") == 0

    assert json.loads(capsys.readouterr().out)["resealed"] == 120


def test_a_public_key_is_sent_from_its_file_and_no_secret_is_spoken_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key.pem"
    file.write_text("-----BEGIN PUBLIC KEY-----")
    FakeClient.answers = [{**CREATED, "credential": {"kid": "k2", "algorithm": "RS256"}, "retired": []}]

    assert run("rotate", ID, "--public-key", str(file)) == 0
    assert FakeClient.asked == [("POST", f"/{ID}/rotate", {"public_key": "-----BEGIN PUBLIC KEY-----"})]
    said = capsys.readouterr().out
    assert "k2" in said
    assert "secret" not in said
    assert run("rotate", ID, "--public-key", str(tmp_path / "none.pem")) == FAILED


def test_a_move_is_asked_for_until_it_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    moved = {
        "success": True, "tenant_id": ID, "from_shard_id": 3, "shard_id": 7, "epoch": 2, "moved": True, "rows": 20_000,
        "rounds": 3, "messages": 4, "freeze_ms": 123.4, "seconds": 61.0,
    }  # fmt: skip
    goes_on = {"success": False, "tenant_id": ID, "under_way": True}
    waiting, copying = (
        {"tenant_id": ID, "moving": {"from_shard_id": 3, "to_shard_id": 7, "step": step}}
        for step in ("waiting", "copying")
    )
    away = AdminRefusedError(503, "shard 03 is unavailable")
    FakeClient.answers = [
        goes_on, waiting, goes_on, copying, goes_on, {"tenant_id": ID, "moving": None}, goes_on, away, moved,
    ]  # fmt: skip

    status = run("move", ID, "--to", "7")

    assert status == 0
    assert [method for method, _, _ in FakeClient.asked] == ["POST", "GET"] * 4 + ["POST"]
    assert FakeClient.asked[0] == ("POST", f"/{ID}/move", {"shard": 7}) == FakeClient.asked[-1]
    said = capsys.readouterr()
    assert "from shard 3 to shard 7" in said.out
    assert "123 ms" in said.out
    waits, copied, between, silent = said.err.splitlines()
    assert "the tenant waits for its turn" in waits
    assert "the tenant is copied" in copied
    assert "about to begin or to end" in between
    assert "shard 03" in silent


def test_a_move_to_where_it_lives_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    FakeClient.answers = [{"success": True, "tenant_id": ID, "shard_id": 7, "moved": False}]

    assert run("move", ID, "--to", "7") == 0
    assert "lives on shard 7 already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        (["--minute", "5"], {"minute": 5}),
        (["--hour", "9", "--reset"], {"minute": None, "hour": 9, "routes": None}),
        (["--reset"], {"minute": None, "hour": None, "routes": None}),
        (["--route", "products", "--minute", "5"], {"routes": {"products": {"minute": 5}}}),
        (["--route", "products", "--minute", "5", "--reset"], {"routes": {"products": {"minute": 5, "hour": None}}}),
        (["--route", "products", "--reset"], {"routes": {"products": None}}),
    ],
)
def test_limits_change_what_is_named_and_reset_puts_the_rest_back(
    flags: list[str], asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    limits = {"minute": 5, "hour": None, "routes": {"products": {"minute": 7, "hour": 8}}}
    FakeClient.answers = [{"success": True, "tenant_id": ID, "limits": limits}]

    assert run("limits", ID, *flags) == 0

    assert FakeClient.asked == [("POST", f"/{ID}/limits", asked)]
    assert capsys.readouterr().out == f"Tenant {ID} has 5 a minute on each route.\n  products: 7 a minute, 8 an hour\n"


def test_limits_without_a_change_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    limits: dict[str, Any] = {"minute": None, "hour": None, "routes": {}}
    FakeClient.answers = [{"tenant_id": ID, "name": "Shop", "limits": limits}]

    assert run("limits", ID, "--json") == 0

    assert FakeClient.asked == [("GET", f"/{ID}", {})]
    assert json.loads(capsys.readouterr().out) == {"tenant_id": ID, "limits": limits}
