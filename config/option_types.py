"""The types of the plugins' settings: each says what is wrong with a value, and what to write."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, PlainValidator

from config.templates import template_fault

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# Of a header's value; what is beyond Latin-1 has no place in one.
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f\u0100-\U0010ffff]")
# They say how a message is framed or its connection used: the server's own, for a caller who reads another length than
# was sent reads the next answer wrongly too.
_FRAMING: Final = frozenset({
    "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
# A number of JSON, as it can be written in 64 bits.
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_LEAST, _MOST = -(2**63), 2**64 - 1


def value_fault(pair: str, kind: str) -> str | None:
    """Why the value of ``name:value`` is none of the JSON type; None where it is, or where a template makes it."""
    name, _, text = pair.partition(":")
    if "$(" in text or kind == "string":
        return None
    if kind == "boolean":
        fits, remedy = text in {"true", "false"}, "write true or false"
    else:
        fits, remedy = is_number(text), "write a number"
    return None if fits else f"json_types says {kind} of {name!r}, and {text!r} is none; {remedy}, or string there"


def is_number(text: str) -> bool:
    """Whether a text is a number of JSON that every reader can hold."""
    whole = _NUMBER.fullmatch(text)
    if whole is None:
        return False
    if whole[2] is None and whole[3] is None:
        return len(text) <= len(str(_MOST)) and _LEAST <= int(text) <= _MOST
    return abs(float(text)) < float("inf")


def _pair(value: str) -> str:
    name, colon, _ = value.partition(":")
    if not name.strip() or not colon:
        raise ValueError("must be a name and a value with a colon between, such as 'x-name:value'")
    if name != name.strip():
        raise ValueError(f"has blanks around the name {name.strip()!r}; leave them out")
    if fault := template_fault(value):
        raise ValueError(fault)
    return value


def _new_name(value: str) -> str:
    new = _pair(value).partition(":")[2]
    if not new.strip() or new != new.strip():
        raise ValueError("must be an old name and a new one without blanks around it, such as 'old:new'")
    return value


def _header(name: str) -> str:
    if _HEADER.fullmatch(name) is None:
        raise ValueError(f"has {name!r}, which is no name of a header; write letters, digits and hyphens")
    return name


def _changeable(name: str) -> str:
    if _header(name).lower() in _FRAMING:
        raise ValueError(f"has {name}, which is the server's own, for it frames the message; take it out")
    return name


def _header_pair(value: str) -> str:
    name, _, text = _pair(value).partition(":")
    _changeable(name)
    unfit = _UNFIT.search(text)
    if unfit is not None:
        raise ValueError(f"has a value that no header can hold; leave {unfit[0]!r} out")
    if text != text.strip():
        raise ValueError(f"has blanks around the value {text.strip()!r}, which get lost on the way; leave them out")
    return value


def _renamed_header(value: str) -> str:
    old, _, new = _new_name(value).partition(":")
    _changeable(old)
    if _HEADER.fullmatch(new) is None:
        raise ValueError(f"renames a header to {new!r}, which is no name of one; write letters, digits and hyphens")
    _changeable(new)
    return value


def _network(value: Any) -> IPv4Network | IPv6Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        loose = ip_network(value, strict=False) if isinstance(value, str) else None
    except ValueError:
        loose = None
    if loose is None:
        raise ValueError(f"must be an address or a network, in quotes, such as '10.0.0.0/8', not {value!r}")
    assert isinstance(value, str)
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError(f"{value} has bits set beyond its prefix; write {loose}") from None


Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Seconds = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]
Names = tuple[Annotated[str, Field(min_length=1)], ...]
Pairs = tuple[Annotated[str, AfterValidator(_pair)], ...]
NewNames = tuple[Annotated[str, AfterValidator(_new_name)], ...]
HeaderName = Annotated[str, AfterValidator(_header)]
OwnHeaderName = Annotated[str, AfterValidator(_changeable)]
HeaderNames = tuple[OwnHeaderName, ...]
HeaderPairs = tuple[Annotated[str, AfterValidator(_header_pair)], ...]
RenamedHeaders = tuple[Annotated[str, AfterValidator(_renamed_header)], ...]
