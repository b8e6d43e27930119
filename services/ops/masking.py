"""Customers' phone numbers, made unreadable but for their beginning and end. Pure.

What looks like a phone number is 9 to 15 digits in a row, with or without a plus. Some that are none are masked as
well, such as Meta's times.
"""

import re

_NUMBER = re.compile(r"(?<![0-9A-Za-z])\+?[0-9]{9,15}(?![0-9A-Za-z])")


def masked(text: str, *spared: str) -> str:
    """The text with its phone numbers masked.

    Args:
        text: any.
        spared: numbers that are no customer's, such as the merchant's own.
    """
    return _NUMBER.sub(lambda found: found[0] if found[0] in spared else _mask(found[0]), text)


def masked_key(key: str) -> str:
    """The key of a message with its customer's number masked; before its colon stands the merchant's own number."""
    number, colon, _ = key.partition(":")
    return masked(key, number) if colon else masked(key)


def _mask(number: str) -> str:
    return f"{number[:4]}{'*' * (len(number) - 6)}{number[-2:]}"
