"""The page for people: conversations as a customer's phone shows them, and a form to write as a customer.

The conversations stand in a frame that renews itself, so that what is being typed in the form below stays.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import urlencode

from cluster.sandbox.conversations import Line
from cluster.sandbox.outbox import rfc3339

# No script, no foreign content: what a customer writes stays text even if escaping should fail.
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'",
    "cache-control": "no-store",
}
FRAME, WRITE = "/sandbox/conversations", "/sandbox/write"
_LONGEST_TEXT = 2_000
_LONGEST_LIST = 30

_STYLE = """
* { box-sizing: border-box; }
body { font: 16px/1.4 system-ui, sans-serif; margin: 0; color: #111b21; background: #f0f2f5; }
a { color: inherit; text-decoration: none; } small { color: #667781; font-variant-numeric: tabular-nums; }
"""
_PAGE_STYLE = """
body { display: flex; flex-direction: column; height: 100vh; height: 100dvh; }
header { background: #075e54; color: #fff; padding: .5rem .8rem; } h1 { font-size: 1.05rem; margin: 0; }
header p { margin: 0; font-size: .8rem; opacity: .85; } iframe { flex: 1; border: 0; width: 100%; min-height: 0; }
form { display: grid; grid-template-columns: 1fr 1fr; gap: .4rem; padding: .5rem .8rem .7rem; background: #f0f2f5; }
label { font-size: .75rem; color: #54656f; min-width: 0; } .wide { grid-column: 1 / -1; }
input, select, button { font: inherit; font-size: 1rem; width: 100%; padding: .45rem .6rem; color: inherit;
  border: 1px solid #c5ccd1; border-radius: .5rem; background: #fff; }
.said { display: flex; gap: .4rem; } button { width: auto; background: #075e54; color: #fff; border-color: #075e54; }
.fault { margin: 0; padding: .4rem .8rem; background: #fde8e8; color: #8a1f1f; overflow-wrap: anywhere; }
@media (min-width: 760px) {
  form { grid-template-columns: 13rem 13rem 11rem 1fr; align-items: end; } .wide { grid-column: auto; } }
"""
_FRAME_STYLE = """
body { display: flex; flex-direction: column; height: 100vh; background: #efeae2; }
nav { display: flex; overflow-x: auto; background: #fff; border-bottom: 1px solid #d1d7db; flex: none; }
nav a { padding: .45rem .8rem; flex: none; max-width: 12rem; border-bottom: 3px solid transparent; }
nav a.now { border-color: #00a884; background: #f0f2f5; }
nav b, nav small { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
main { flex: 1; min-height: 0; overflow-y: auto; display: flex; flex-direction: column-reverse; padding: .8rem; }
.line { max-width: 85%; width: fit-content; margin: .15rem 0; padding: .35rem .6rem; border-radius: .6rem;
  background: #fff; }
.line.in { align-self: flex-end; background: #d9fdd3; }
.line p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.line small { display: block; text-align: right; font-size: .7rem; }
.hint { margin: auto; color: #54656f; text-align: center; }
@media (min-width: 760px) { body { flex-direction: row; }
  nav { flex-direction: column; width: 17rem; overflow: hidden auto; border: 0; border-right: 1px solid #d1d7db; }
  nav a { max-width: none; border: solid transparent; border-width: 0 0 0 3px; }
  .line { max-width: 36rem; } }
"""
_HINT = (
    "<p class=hint>Nothing has been said here yet.<br>Write below, and the shop answers.<br>"
    "<small>Of a message that you sign and post to the webhook yourself, only the answers are seen here.</small></p>"
)


class Talk(NamedTuple):
    """Who writes to whom, as it stands in the form."""

    phone_number_id: str
    customer: str
    name: str = ""
    text: str = ""

    def link(self) -> str:
        """To the page with this conversation open."""
        return "/?" + self.query()

    def query(self) -> str:
        """For an address."""
        return urlencode({"number": self.phone_number_id, "customer": self.customer, "name": self.name})


def render_page(talk: Talk, numbers: Sequence[tuple[str, str]], total_sent: int, fault: str = "") -> str:
    """The whole page.

    Args:
        talk: that is open.
        numbers: that one can write to, each with what people know it by.
        total_sent: messages of Spaza's that are remembered.
        fault: why what was written could not be sent.
    """
    options = "".join(_option(number, known, chosen=number == talk.phone_number_id) for number, known in numbers)
    told = f'<p class="fault" role="alert">{escape(fault)}</p>' if fault else ""
    return f"""{_head(_STYLE + _PAGE_STYLE)}
<header><h1>WhatsApp sandbox</h1>
<p>A stand-in of Meta's Graph API. It remembers {total_sent} sent messages, until it ends.</p></header>
<iframe src="{FRAME}?{escape(talk.query())}" title="Conversations"></iframe>{told}
<form method="post" action="{WRITE}">
<label>You are<input name="customer" value="{escape(talk.customer)}" inputmode="tel" required></label>
<label>called<input name="name" value="{escape(talk.name)}" maxlength="256"></label>
<label class="wide">and write to<select name="number">{options}</select></label>
<div class="said wide"><input name="text" value="{escape(talk.text)}" placeholder="Message" aria-label="Message"
 maxlength="4096" autocomplete="off" required autofocus><button>Send</button></div>
</form></body></html>
"""


def render_frame(talk: Talk, lines: Iterable[Line]) -> str:
    """The conversations, and what was said in the open one.

    Args:
        talk: that is open.
        lines: of all, the newest first.
    """
    latest: dict[tuple[str, str], Line] = {}
    said = []
    for line in lines:
        latest.setdefault((line.phone_number_id, line.customer), line)
        if (line.phone_number_id, line.customer) == (talk.phone_number_id, talk.customer):
            said.append(_bubble(line))
    others = "".join(_tab(line, talk) for line in list(latest.values())[:_LONGEST_LIST])
    listed = f"<nav>{others}</nav>" if others else ""
    return f"""{_head(_STYLE + _FRAME_STYLE, '<meta http-equiv="refresh" content="2">')}
{listed}<main>{"".join(said) or _HINT}</main></body></html>
"""


def _head(style: str, more: str = "") -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{more}'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>WhatsApp sandbox</title>'
        f"<style>{style}</style></head><body>"
    )


def _option(number: str, known: str, *, chosen: bool) -> str:
    return f'<option value="{escape(number)}"{" selected" if chosen else ""}>{escape(known)}</option>'


def _tab(line: Line, talk: Talk) -> str:
    of = Talk(line.phone_number_id, line.customer)
    now = ' class="now"' if of[:2] == talk[:2] else ""
    return (
        f'<a href="{escape(of.link())}" target="_top"{now}><b>{escape(line.customer)}</b>'
        f"<small>{rfc3339(line.at)[11:16]} {escape(line.text[:60])}</small></a>"
    )


def _bubble(line: Line) -> str:
    text = line.text if len(line.text) <= _LONGEST_TEXT else line.text[:_LONGEST_TEXT] + "…"
    return (
        f'<div class="line {line.direction}"><p>{escape(text)}</p>'
        f"<small>{rfc3339(line.at)[11:19]} UTC · {escape(line.status)}</small></div>"
    )
