"""A cursor of a search holds no more than a question can have asked."""

import pytest

from services.catalog.cursor import after, place_in
from services.catalog.errors import ForeignCursorError
from services.catalog.ports import Question
from services.catalog.store import Place
from services.catalog.words import Groups

QUESTION = Question("bread")
PLACE = Place(-8, 0, "p-1")
WORDS = ("bread", "broad", "breed", "bred", "tread")


def test_the_most_that_a_question_can_become_comes_back() -> None:
    groups = (WORDS,) * 10

    assert place_in(QUESTION._replace(cursor=after(PLACE, QUESTION, groups))) == (PLACE, groups)


@pytest.mark.parametrize(
    "groups",
    [(("bread",),) * 11, ((*WORDS, "dread"),), (("a" * 65,),), (("bread", "a'b"),), (("",), ("bread",))],
    ids=["groups", "alternatives", "letters", "no word", "empty"],
)
def test_what_no_question_becomes_is_refused(groups: Groups) -> None:
    with pytest.raises(ForeignCursorError):
        place_in(QUESTION._replace(cursor=after(PLACE, QUESTION, groups)))
