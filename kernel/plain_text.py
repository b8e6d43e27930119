"""Text that is what it looks like: nothing in it steers the screen, turns the writing round or is unseen. Pure.

Source:
    Unicode Technical Report 36, section 3, and CVE-2021-42574, on what invisible and turned text is abused for.
"""

import unicodedata
from typing import Final

# Controls (NUL and ESC among them), formats (which turn the direction of writing, or take no room), halves of a pair,
# and the ends of lines and paragraphs.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Zero-width joiner and non-joiner: Persian and Indian names are spelled with them, and families of emoji.
_SPELLED: Final = "\u200c\u200d"


def is_plain(text: str) -> bool:
    """Whether all of it is seen as it is written."""
    return all(_is_seen(one) for one in text)


def visible(text: str) -> str:
    r"""The same with what is not plain written out, as ``\x1b`` or ``\u202e``, so that a terminal may have it."""
    return "".join(one if _is_seen(one) else _written_out(one) for one in text)


def _is_seen(one: str) -> bool:
    return one in _SPELLED or unicodedata.category(one) not in _UNSEEN


def _written_out(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
