"""Pages that never change while a process runs: the OpenAPI document, and one to read it in a browser.

That page stands in ``docs.html``, whole: it asks nothing of any other machine. What it may do is named to the browser,
so that nothing in a document could make it do more.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from gateway.answers import JSON
from gateway.asgi import Header

_HTML: Final = Path(__file__).with_name("docs.html")
_INLINE: Final = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)
_REVALIDATED: Final = (b"cache-control", b"no-cache")


class Page(NamedTuple):
    """A page in full."""

    content_type: bytes
    body: bytes
    headers: tuple[Header, ...]


def pages_of(document: Mapping[str, Any]) -> Mapping[str, Page]:
    """By path, the document and the page that shows it."""
    html = _HTML.read_bytes()
    guarded = (
        (b"content-security-policy", _policy(html)),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    )
    return {
        "/openapi.json": Page(JSON, orjson.dumps(document), (_REVALIDATED,)),
        "/docs": Page(b"text/html; charset=utf-8", html, (_REVALIDATED, *guarded)),
    }


def _policy(html: bytes) -> bytes:
    sources = {kind.decode(): _hash(text) for kind, text in _INLINE.findall(html)}
    return (
        "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'; script-src {sources['script']}; style-src {sources['style']}"
    ).encode()


def _hash(text: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
