"""From the one DSN of the settings to the DSN of a shard, for a role.

A DSN is a URL, ``postgresql://user:password@host:port/database?option=value``. With ``{shard}`` in it, that becomes
00 to 31; without, the databases ``shard_00`` to ``shard_31`` of the server are meant. Several hosts, separated by
commas, are a primary and its standbys, ``postgresql://user:password@db-1:5432,db-2:5432/...`` or, for Unix sockets,
``?host=/run/a,/run/b&port=5432,5433``; which of them is the primary now is found out by ``finding.py``.
"""

from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

PLACEHOLDER = "{shard}"


def shard_dsn(dsn_template: str, shard: int, role: str | None = None, password: str | None = None) -> str:
    """The DSN of one shard's database.

    Args:
        dsn_template: as in the settings.
        shard: 0 to 31.
        role: who connects, in place of the DSN's own user and password. None keeps them.
        password: of that role; None for none.

    Raises:
        ValueError: the template is not a PostgreSQL URL.
    """
    parts = _split(dsn_template)
    if PLACEHOLDER not in dsn_template:
        parts = parts._replace(path=f"/shard_{PLACEHOLDER}")
    if role is not None:
        parts = _as_role(parts, role, password)
    return urlunsplit(parts).replace(PLACEHOLDER, f"{shard:02d}")


def maintenance_dsn(dsn: str) -> str:
    """The same server and user, in the database ``postgres``, from which other databases are made."""
    return urlunsplit(_split(dsn)._replace(path="/postgres"))


def without_credentials(dsn_template: str) -> str:
    """The template without user and password, for those who come under a role of their own."""
    parts = _split(dsn_template)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in {"user", "password", "passfile"}]
    return urlunsplit(parts._replace(netloc=_hosts(parts), query=urlencode(kept, safe="/{},:")))


def database_of(dsn: str) -> str:
    """The database that a DSN names."""
    return _split(dsn).path.removeprefix("/")


def single_hosts(dsn: str, attributes: str = "primary") -> tuple[str, ...]:
    """The DSN of each server that a DSN lists, in its order; the DSN itself where it lists one.

    Args:
        dsn: of a database.
        attributes: what each is to be, in libpq's words (``target_session_attrs``). What the DSN says of that counts
            for the one that takes writes; where there is one server it is taken as it is.

    Raises:
        ValueError: hosts and ports do not go together.
    """
    parts = _split(dsn)
    options = {"target_session_attrs": attributes, **dict(parse_qsl(parts.query))}
    if attributes == "standby":
        options["target_session_attrs"] = attributes
    user, at, hosts = parts.netloc.rpartition("@")
    if "," in hosts:
        netlocs = [(f"{user}{at}{host}", options) for host in hosts.split(",")]
    elif not hosts and "," in options.get("host", ""):
        netlocs = [(parts.netloc, options | one) for one in _each(options["host"], options.get("port", ""))]
    else:
        return (dsn,)
    return tuple(
        urlunsplit(parts._replace(netloc=netloc, query=urlencode(chosen, safe="/:"))) for netloc, chosen in netlocs
    )


def host_of(dsn: str) -> str:
    """Where the server of a DSN is, for people: its host and port, or its socket."""
    parts = _split(dsn)
    options = dict(parse_qsl(parts.query))
    socket = " port ".join(filter(None, (options.get("host"), options.get("port"))))
    return _hosts(parts) or socket or "a Unix socket"


def server_of(dsn: str) -> str:
    """What tells one server from another: its hosts and options, without user, password and database."""
    parts = _split(dsn)
    return f"{_hosts(parts)}?{parts.query}"


def _split(dsn: str) -> SplitResult:
    parts = urlsplit(dsn)
    if parts.scheme not in {"postgresql", "postgres"}:
        # The text is not quoted: it may hold a password.
        raise ValueError("the PostgreSQL DSN must be a URL that starts with postgresql://")
    return parts


def _hosts(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _as_role(parts: SplitResult, role: str, password: str | None) -> SplitResult:
    secret = "" if password is None else f":{quote(password, safe='')}"
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in {"user", "password", "passfile"}]
    netloc = f"{quote(role, safe='')}{secret}@{_hosts(parts)}"
    return parts._replace(netloc=netloc, query=urlencode(kept, safe="/{},:"))


def _each(hosts: str, ports: str) -> list[dict[str, str]]:
    named, given = hosts.split(","), ports.split(",")
    if ports and len(given) not in {1, len(named)}:
        raise ValueError("the PostgreSQL DSN must name one port, or one for each host")
    if not ports:
        return [{"host": host} for host in named]
    return [
        {"host": host, "port": port}
        for host, port in zip(named, given if len(given) > 1 else given * len(named), strict=True)
    ]
