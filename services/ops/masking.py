"""Customers' phone numbers, made unreadable but for their beginning and end. Pure.

What looks like a phone number is 9 to 15 digits in a row, with or without a plus. Some that are none are masked as
well, such as Meta's times. Our own ids, UUIDs and SHA-256 sums are left alone, and so are the merchant's account with
Meta and a wamid, though it holds its customer's number in base64: it is what an operator looks for a message by.
"""

import re

# Ids first, for they may have as many digits in a row.
_HEX = r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{32})(?![0-9a-f])"
_UUID = r"(?<![0-9A-Fa-f-])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f-])"
_WAMID = r"wamid\.[0-9A-Za-z+/=_-]+"
# Of the merchant's account, where an inbound message's body begins with it.
_ENTRY = r'"entry": ?\{(?:"time": ?[0-9]+, ?)?"id": ?"[0-9]+"'
_IDS = rf"{_HEX}|{_UUID}|{_WAMID}|{_ENTRY}"
_NUMBER = re.compile(_IDS + r"|(?<![0-9])\+?[0-9]{9,15}(?![0-9])")
_LONGEST_NUMBER = 16


def masked(text: str, *spared: str) -> str:
    """The text with its phone numbers masked.

    Args:
        text: any.
        spared: numbers that are no customer's, such as the merchant's own.
    """

    def shown(found: re.Match[str]) -> str:
        token = found[0]
        is_number = len(token) <= _LONGEST_NUMBER and not token.startswith("wamid.")
        return _mask(token) if is_number and token not in spared else token

    return _NUMBER.sub(shown, text)


def masked_key(key: str) -> str:
    """The key of a message with its customer's number masked; before its colon stands the merchant's own number."""
    number, colon, _ = key.partition(":")
    return masked(key, number) if colon else masked(key)


def _mask(number: str) -> str:
    return f"{number[:4]}{'*' * (len(number) - 6)}{number[-2:]}"
