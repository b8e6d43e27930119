from pathlib import Path

import pytest

from kernel.sql import load_queries, quoted


def written(folder: Path, text: str) -> Path:
    path = folder / "queries.sql"
    path.write_text(text)
    return path


def test_statements_are_found_by_name_with_their_comments(tmp_path: Path) -> None:
    path = written(tmp_path, "-- name: one\n-- why\nSELECT 1;\n\n-- name: two\nSELECT 2;\n")

    assert dict(load_queries(path)) == {"one": "-- why\nSELECT 1;", "two": "SELECT 2;"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1;", "no statement is named"),
        ("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;", "the name one is used twice"),
        ("-- name: one\n\n-- name: two\nSELECT 2;", "the statement one is empty"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        load_queries(written(tmp_path, text))


def test_a_name_is_quoted_whatever_is_in_it() -> None:
    assert quoted('a "b"; DROP') == '"a ""b""; DROP"'
