"""The page for people: the last messages, newest first, as plain HTML that renews itself."""

from collections.abc import Iterable
from html import escape

from cluster.sandbox.conversations import Line
from cluster.sandbox.outbox import rfc3339

# No script, no foreign content: what a customer writes stays text even if escaping should fail.
HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'", "cache-control": "no-store"}
_LONGEST_TEXT = 500

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem; color: #222; background: #fff; }
h1 { font-size: 1.2rem; } p { color: #555; max-width: 60rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #ddd; }
td.text { white-space: pre-wrap; overflow-wrap: anywhere; } tr.in td { background: #f2f7ff; }
td { font-variant-numeric: tabular-nums; } code { background: #f4f4f4; padding: 0 .2rem; }
"""


def render_page(lines: Iterable[Line], total_sent: int) -> str:
    """The whole page."""
    rows = "\n".join(_row(line) for line in lines)
    empty = "" if rows else "<p>Nothing has been said yet.</p>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width"><title>WhatsApp sandbox</title><style>{_STYLE}</style></head><body>
<h1>WhatsApp sandbox</h1>
<p>A stand-in of Meta's Graph API. Messages sent by Spaza and messages written by customers here, newest first;
{total_sent} sent ones are remembered. Write as a customer with <code>POST /sandbox/inbound</code>; read everything at
<code>GET /sandbox/outbox</code>.</p>{empty}
<table><thead><tr><th>Time (UTC)</th><th>Customer</th><th>Number</th><th>Direction</th><th>Text</th><th>Status</th></tr>
</thead><tbody>
{rows}
</tbody></table></body></html>
"""


def _row(line: Line) -> str:
    text = line.text if len(line.text) <= _LONGEST_TEXT else line.text[:_LONGEST_TEXT] + "…"
    direction = "customer wrote" if line.direction == "in" else "Spaza sent"
    cells = (rfc3339(line.at)[11:19], line.customer, line.phone_number_id, direction)
    plain = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return (
        f'<tr class="{line.direction}">{plain}<td class="text">{escape(text)}</td><td>{escape(line.status)}</td></tr>'
    )
