"""Words as search sees them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.words import Groups, corrected, groups_of, indexed, may_be_mistyped, met_by, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("White bread 700 g", ["white", "bread", "700", "g"]),
        ("Maize-meal 5KG", ["maize", "meal", "5", "kg"]),
        ("Mrs Ball's Ball\u2019s", ["mrs", "balls", "balls"]),
        ("Café Straße ﬁne", ["cafe", "strasse", "fine"]),
        ("2.5_kg", ["2", "5", "kg"]),
        ("दूध हिन्दी", ["दध", "हनद"]),
        ("牛奶 2L", ["牛奶", "2", "l"]),
        ("🐛 !!! \u200b", []),
        ("", []),
    ],
)
def test_text_is_folded_and_cut_into_runs_of_letters_and_digits(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text(max_size=200))
def test_a_word_is_its_own_only_word_and_holds_nothing_that_a_tsquery_could_take_for_an_operator(text: str) -> None:
    for word in words_of(text):
        assert words_of(word) == [word]
        assert not set(word) & set("'\\:*&|!()<> \0")


@given(st.text(st.characters(max_codepoint=127), max_size=200))
def test_plain_letters_are_cut_as_all_others_are(text: str) -> None:
    assert [*words_of(text), "e"] == words_of(f"{text} é")


def test_a_product_is_indexed_by_its_name_and_its_description() -> None:
    assert indexed("White bread", "bread, sliced, sliced") == "'white':1A 'bread':1A,2D 'sliced':2D"
    assert indexed("🐛", "") == ""


def test_a_question_holds_each_word_once_and_ten_at_most() -> None:
    assert groups_of("milk MILK bread") == (("milk",), ("bread",))
    assert len(groups_of(" ".join(f"w{n}x" for n in range(30)))) == 10


def test_a_group_is_met_by_what_begins_with_one_of_its_words_but_a_number_by_itself() -> None:
    assert met_by(["milk", "5"]) == "'milk':* | '5'"
    assert met_by(["milk"], whole=True) == "'milk'"
    assert met_by(["milk", "5"], whole=True, weight="A") == "'milk':A | '5':A"
    assert met_by(["milk", "5"], weight="A") == "'milk':*A | '5':A"


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("mlik", (("milk",),)),
        ("mil", (("mil",),)),
        ("brown brezd", (("brown",), ("bread",))),
        ("choclatte", (("chocolate",),)),
        ("chxxlate", None),
        ("bx", (("bx",),)),
        ("70", (("70",),)),
        ("silk", (("milk", "silt"),)),
    ],
)
def test_words_are_corrected_as_elasticsearch_would(question: str, meant: Groups | None) -> None:
    known = ["milk", "brown", "bread", "chocolate", "700", "silt"]

    assert corrected(groups_of(question), known) == meant


def test_only_longer_words_may_be_mistyped() -> None:
    assert not may_be_mistyped(groups_of("ab 70000"))
    assert may_be_mistyped(groups_of("ab abc"))
