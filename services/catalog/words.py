"""Words, as search sees them: of a product, of a question, and those that somebody may have meant. Pure.

Text is folded (case, accents, apostrophes) and cut into runs of letters and runs of digits, so that ``5kg`` is found
by ``5 kg`` and ``Café`` by ``cafe``. There is no stemming, for the shops' customers write in eleven languages. In place
of it a word is met by every word that begins with it.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from rapidfuzz import process
from rapidfuzz.distance import OSA

# What a question holds beyond this is left out.
TERMS_AT_MOST: Final = 10
# Known words for each that was mistyped.
ALTERNATIVES: Final = 5
_WORD: Final = re.compile(r"\d+|[^\W\d_]+")
_APOSTROPHES: Final = re.compile(r"['\u2018\u2019\u02bc]")
_LETTERS_AT_MOST: Final = 64

# Each of the groups has to be met by one of its words.
Groups = tuple[tuple[str, ...], ...]


def words_of(text: str) -> list[str]:
    """The words of a text in their order, folded."""
    if text.isascii():
        # What the rest comes to then, at a tenth of its cost.
        return [word[:_LETTERS_AT_MOST] for word in _WORD.findall(_APOSTROPHES.sub("", text.lower()))]
    # Some letters fold to what has to be taken apart, and some of those parts to what has to be folded.
    folded = text
    for _ in range(2):
        folded = unicodedata.normalize("NFKD", folded).casefold()
    plain = "".join(
        letter
        for letter in _APOSTROPHES.sub("", folded)
        if letter.isascii() or not unicodedata.category(letter).startswith("M")
    )
    return [word[:_LETTERS_AT_MOST] for word in _WORD.findall(plain)]


def groups_of(question: str) -> Groups:
    """The words of a question, each alone and once; empty where it holds none."""
    return tuple((word,) for word in dict.fromkeys(words_of(question)))[:TERMS_AT_MOST]


def indexed(name: str, description: str) -> str:
    """The words of a product as the text of a tsvector: those of its name weigh A, those of its description D."""
    places: dict[str, list[str]] = {word: ["1A"] for word in words_of(name)}
    for word in dict.fromkeys(words_of(description)):
        places.setdefault(word, []).append("2D")
    return " ".join(f"'{word}':{','.join(at)}" for word, at in places.items())


def met_by(group: Sequence[str], *, whole: bool = False, weight: str = "") -> str:
    """A group as the text of a tsquery.

    Args:
        group: words of this module's making, so nothing in them has to be quoted away.
        whole: whether only whole words meet it; numbers always have to be whole.
        weight: A for the name alone.
    """
    begins = "" if whole else "*"
    return " | ".join(f"'{word}':{'' if word.isdecimal() else begins}{weight}".rstrip(":") for word in group)


def may_be_mistyped(groups: Groups) -> bool:
    """Whether any of the words is long enough to be corrected."""
    return any(_distance(word) for group in groups for word in group)


def corrected(groups: Groups, known: Iterable[str]) -> Groups | None:
    """The groups with the known words that may have been meant.

    A word that begins a known one is taken as it is. Otherwise one letter may be wrong, missing, too much or swapped
    with its neighbour in words of 3 to 5 letters, and two in longer ones, as Elasticsearch's ``AUTO`` has it; shorter
    ones and numbers are taken as they are.

    Returns:
        None where nothing like one of the words is known.
    """
    words = sorted(known)
    together = tuple(_meant(word, words) for (word, *_) in groups)
    return together if all(together) else None


def _meant(word: str, known: Sequence[str]) -> tuple[str, ...]:
    allowed = _distance(word)
    if allowed == 0 or any(one.startswith(word) for one in known):
        return (word,)
    near = process.extract(word, known, scorer=OSA.distance, score_cutoff=allowed, limit=ALTERNATIVES)
    return tuple(one for one, _, _ in near)


def _distance(word: str) -> int:
    if word.isdecimal() or len(word) < 3:
        return 0
    return 1 if len(word) <= 5 else 2
