"""The kinds of values that settings have, each with its check and what it says of a wrong one."""

import base64
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

Port = Annotated[int, Field(ge=1, le=65535)]


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    try:
        parts = urlsplit(value)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        named = False
    if not named or value.split() != [value]:
        raise ValueError("must name a host, such as https://graph.facebook.com")
    return value.rstrip("/")


def _postgres_dsn(value: SecretStr) -> SecretStr:
    # Nothing of it is quoted: it may hold a password.
    text = value.get_secret_value()
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("must be a URL that starts with postgresql://")
    try:
        parts = urlsplit(text)
    except ValueError as error:  # half an IPv6 address
        raise ValueError("must be a URL such as postgresql://user:password@host-1:5432,host-2:5432/") from error
    hosts = parts.netloc.rpartition("@")[2].replace("{shard}", "00")
    for host in hosts.split(",") if hosts else ():
        if re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[^:\[\]\s]+)(?::(\d{1,5}))?", host) is None:
            raise ValueError("must name each host as host or host:port, with commas between and nothing else")
        port = host.rpartition(":")[2]
        if port.isdigit() and not 1 <= int(port) <= 65_535:
            raise ValueError("must name ports from 1 to 65535")
    options = dict(parse_qsl(parts.query))
    ports = options["port"].replace("{shard}", "00").split(",") if "port" in options else []
    if not all(port.isdecimal() and port.isascii() and 1 <= int(port) <= 65_535 for port in ports):
        raise ValueError("must name ports from 1 to 65535")
    if len(ports) > 1 and len(ports) != len(options.get("host", "").split(",")):
        raise ValueError("must name one port, or one for each host")
    if parse_qs(parts.query).get("target_session_attrs", ["primary"])[0] not in {"any", "primary", "read-write"}:
        raise ValueError("must lead to the server that takes writes; leave target_session_attrs out")
    return value


def _sealing_key(value: SecretStr) -> SecretStr:
    try:
        key = base64.b64decode(value.get_secret_value(), validate=True)
    except ValueError as error:  # not base64, or not even ASCII
        raise ValueError("must be base64; make one with: openssl rand -base64 32") from error
    if len(key) != 32:
        raise ValueError(f"must be 32 bytes, base64 encoded, not {len(key)}; make one with: openssl rand -base64 32")
    return value


def _not_empty(value: SecretStr) -> SecretStr:
    if not value.get_secret_value():
        raise ValueError("must not be empty")
    return value


def _some(value: SecretStr) -> SecretStr:
    if not parted(value.get_secret_value()):
        raise ValueError("must not be empty; several secrets have commas between")
    return value


def _named(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise ValueError("must not be empty; unset it to have the default")
    return value


def parted(value: Any) -> Any:
    """What is separated by commas, without empty parts."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _tenant_ids(value: Any) -> Any:
    named = parted(value)
    if wrong := [one for one in named if re.fullmatch(r"[0-9a-f]{32}", one) is None]:
        raise ValueError(f"must be tenants' ids, 32 lower-case hexadecimal digits each, with commas, not {wrong[0]}")
    return named


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


Folder = Annotated[Path, BeforeValidator(_named)]
Host = Annotated[str, BeforeValidator(_named)]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]
LoggedRequests = Literal["known", "all", "none"]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
AppSecret = Annotated[SecretStr, AfterValidator(_some)]
Secret = Annotated[SecretStr, AfterValidator(_not_empty)]
PostgresDsn = Annotated[SecretStr, AfterValidator(_postgres_dsn)]
SealingKey = Annotated[SecretStr, AfterValidator(_sealing_key)]
TenantIds = Annotated[tuple[str, ...], BeforeValidator(_tenant_ids)]
