import ast
import io
from pathlib import Path

from rich.console import Console

from cluster import status_text, tenant_text
from cluster.plain_lines import print_lines, say

EVIL = "\x1b]0;owned\x07\u202eShop\nTenant"


def _console() -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, highlight=False, soft_wrap=True, force_terminal=True, color_system=None), file


def test_a_name_steers_no_terminal_and_breaks_no_table() -> None:
    console, file = _console()
    one = {"tenant_id": "1", "name": EVIL, "state": "active", "shard_id": 3, "created_at": "x", "phone_numbers": ["1"]}

    print_lines(tenant_text.listed({"tenants": [one], "next_cursor": None, "partial": False}), console)

    said = file.getvalue()
    assert len(said.splitlines()) == 2
    assert "\\x1b]0;owned\\x07\\u202eShop\\x0aTenant" in said
    assert "\x1b" not in said


def test_what_a_part_says_of_itself_steers_none_either() -> None:
    console, file = _console()

    status_text.show(
        {"ready": True, "parts": [{"name": EVIL, "state": "failed", "detail": EVIL}], "figures": {}, "ports": {}},
        console,
    )

    assert "\x1b]" not in file.getvalue()


def test_of_a_remark_the_ends_of_lines_alone_stay() -> None:
    file = io.StringIO()

    say(f"first {EVIL}\nlast", file)

    assert file.getvalue() == "first \\x1b]0;owned\\x07\\u202eShop\nTenant\nlast\n"


def test_nothing_of_the_command_line_prints_lines_of_answers_by_another_way() -> None:
    folder = Path(tenant_text.__file__).parent
    for path in folder.glob("*_command.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "print":
                raise AssertionError(f"{path.name}:{node.lineno} prints past print_lines")
