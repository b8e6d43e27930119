"""HAProxy's configuration as Ray writes it, with what Ray has no setting for.

- A request has to arrive within a time, its head and of its body what fits a buffer (16 KB), before a replica hears of
  it. Else whoever opens connections and dawdles holds all there are, and all that a replica takes at once.
- Figures are for this machine alone, where Ray would show them on every address.
- What HAProxy answers in an application's place has the one shape of errors, and asks to come again while it knows no
  application yet. So has what Serve answers for a replica that has enough to do, and a method that no replica could
  read. What is no HTTP at all HAProxy answers in its own words: decision 0008.
- Where no replica of an application is there, HAProxy says so at once. Ray would have it ask Serve's own proxy, which
  holds a request until there is one again, for longer than Meta waits.
- What Serve says of itself under ``/-/`` it says to this machine alone.
- A request has one id, and every answer tells it: the caller's correlation id where it is a sane one, which Serve takes
  for its own.
- A request says from where it came, in the last place of ``X-Forwarded-For``.

Run in HAProxy's place: Ray is told that ``haproxy.sh`` is HAProxy, and the environment names the real one. Standard
library only.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

# Meta's and everybody's clients send a head in one piece, with the beginning of the body.
_REQUEST_LIMIT_S = 10
# As the gateway has it, in plugins/correlation_id.py.
_SANE_ID = "^[A-Za-z0-9._:/+=@-]{1,128}$"
_COME_AGAIN = (503, " hdr Retry-After 2", "Not ready yet; try again")
_BUSY = (503, " hdr Retry-After 2", "Too much is asked at once; try again")
# Serve's own: none of ours is a text, or without the id.
_FROM_SERVE = "{ status 503 } { res.hdr(content-type) -m beg text/plain } !{ res.hdr(x-correlation-id) -m found }"
# Those that the HTTP server of a replica reads; of others it says in a line of text that it does not.
_METHODS = "GET HEAD POST PUT PATCH DELETE OPTIONS TRACE"
_UNKNOWN_METHOD = (405, f" hdr Allow '{_METHODS.replace(' ', ', ')}'", "There is no such method")
# ``OPTIONS *`` asks the server itself; what Serve says of itself is for this machine, not for whoever reaches the API.
# A replica reads the path decoded.
_NOBODYS = "{ url -m str * } || { path,url_dec -i -m beg /-/ } !{ src 127.0.0.0/8 ::1 }"
_NOTHING_THERE = (404, "", "There is nothing at this path")
_ID_KEPT = "txn.request_id"
_WITHOUT_ID = f"{{ var({_ID_KEPT}) -m found }} !{{ res.hdr(x-correlation-id) -m found }}"
_DAWDLES = (408, "", "The request did not arrive in time")
_PASSED_ON = (
    (502, "", "The answer was lost; the request may have been carried out"),
    _COME_AGAIN,
    (504, "", "Not answered in time; the request may have been carried out"),
)
PROGRAM = "HAPROXY_PROGRAM"
PYTHON = "HAPROXY_PYTHON"


class UnknownConfigurationError(Exception):
    """Ray writes its configuration otherwise than we know it."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted

    def __str__(self) -> str:
        return f"Ray's configuration of HAProxy has changed: nothing in it is like {self.wanted!r}"


def guarded(config: str, *, stats_port: int, metrics_port: int) -> str:
    """Ray's configuration with our additions. Applied to its own result it changes nothing.

    Raises:
        UnknownConfigurationError: a line is missing; better no HAProxy than an open one.
    """
    limit = f"timeout http-request {_REQUEST_LIMIT_S}s"
    if limit not in config:
        lines = rf"\1\2\n\1{limit}\n\1option http-buffer-request"
        config = _replaced(config, r"^( +)(timeout client \S+)$", lines)
    for port in (stats_port, metrics_port):
        config = _replaced(config, rf"^( +)bind (?:\*|127\.0\.0\.1)?:{port}$", rf"\1bind 127.0.0.1:{port}")
    return config


def shaped(config: str) -> str:
    """Ray's configuration with our answers and ids. Applied to its own result it changes nothing.

    Raises:
        UnknownConfigurationError: a line is missing.
    """
    if "http-error status" in config:
        return config
    for answer in _PASSED_ON:
        config = _replaced(config, rf"^( +)errorfile {answer[0]} \S+$", rf"\1http-error {_returned(answer)}")
    # It comes before any rule, so that what the caller names its request by is not looked at yet.
    dawdles = f"http-error {_returned(_DAWDLES, 'unique-id')}"
    config = _replaced(config, r"^( +)(http-error status 502 .*)$", rf"\1{dawdles}\n\1\2")
    config = _replaced(
        config,
        r"^( +)http-request return status 404 content-type text/plain lf-string .*$",
        rf"\1http-request return {_returned(_COME_AGAIN)}",
    )
    ids = (
        f"del-header x-request-id if !{{ req.hdr(x-request-id) -m reg {_SANE_ID} }}",
        f"set-header x-request-id %[req.hdr(x-correlation-id)] if {{ req.hdr(x-correlation-id) -m reg {_SANE_ID} }}",
        "set-header x-request-id %[uuid] if !{ req.hdr(x-request-id) -m found }",
        "add-header x-forwarded-for %[src]",
    )
    rules = (
        "unique-id-format %[uuid]",
        *(f"http-request {rule}" for rule in ids),
        # What is answered once the request has gone to a replica sees no more of it.
        f"http-request set-var({_ID_KEPT}) req.hdr(x-request-id)",
        f"http-request return {_returned(_UNKNOWN_METHOD)} unless {{ method {_METHODS} }}",
        f"http-request return {_returned(_NOTHING_THERE)} if {_NOBODYS}",
        f"http-response return {_returned(_BUSY)} if {_FROM_SERVE}",
        # Whatever answers without it, such as the HTTP server of a replica to who wants a websocket.
        f"http-after-response set-header x-correlation-id %[var({_ID_KEPT})] if {_WITHOUT_ID}",
    )
    added = r"\1\2" + "".join(rf"\n\1{rule}" for rule in rules)
    return _replaced(config, r"^frontend http_frontend\n( +)(bind \S+)$", f"frontend http_frontend\n{added}")


def candid(config: str) -> str:
    """Ray's configuration without its stand-in for replicas that are gone. Applied again it changes nothing.

    The line stays, for Ray looks for it in HAProxy's figures. While there is no application there is none.
    """
    return re.sub(r"^( +server \S+ \S+ check backup)$", r"\1 disabled", config, flags=re.MULTILINE)


def guard_file(path: Path, environment: Mapping[str, str]) -> None:
    """The same for a file."""
    ports = {
        "stats_port": int(environment["RAY_SERVE_HAPROXY_STATS_PORT"]),
        "metrics_port": int(environment["RAY_SERVE_HAPROXY_METRICS_PORT"]),
    }
    written = path.read_text(encoding="utf-8")
    path.write_text(candid(shaped(guarded(written, **ports))), encoding="utf-8")


def _returned(answer: tuple[int, str, str], request_id: str = f"var({_ID_KEPT})") -> str:
    status, header, message = answer
    body = f'{{"message":"{message}","request_id":"%[{request_id}]"}}'
    correlation = f" hdr X-Correlation-ID %[{request_id}]"
    return f"status {status} content-type application/json{header}{correlation} lf-string '{body}'"


def _replaced(config: str, pattern: str, by: str) -> str:
    config, count = re.subn(pattern, by, config, count=1, flags=re.MULTILINE)
    if not count:
        raise UnknownConfigurationError(pattern)
    return config


def main() -> None:
    """Guard the file after ``-f``, and become HAProxy."""
    arguments = sys.argv[1:]
    if "-f" in arguments:
        guard_file(Path(arguments[arguments.index("-f") + 1]), os.environ)
    program = os.environ[PROGRAM]
    os.execv(program, [program, *arguments])  # noqa: S606 - becoming HAProxy is what this is for


if __name__ == "__main__":
    main()
