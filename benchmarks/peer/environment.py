"""Where the peer's processes find their servers: set by the one who starts them, read once by each."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

WEBHOOK_PATH = "/api/v1/webhooks/whatsapp"
_PREFIX = "PEER_"


@dataclass(frozen=True, slots=True)
class PeerEnvironment:
    """The peer's configuration.

    Attributes:
        prefetch: messages that the consumer may hold unacknowledged.
        concurrency: messages that it handles at once.
        pool_size: its connections to PostgreSQL.
    """

    amqp_url: str
    postgres_dsn: str
    redis_url: str
    graph_url: str
    app_secret: str
    verify_token: str
    prefetch: int = 128
    concurrency: int = 64
    pool_size: int = 16

    def as_variables(self) -> dict[str, str]:
        """As environment variables of a process."""
        return {f"{_PREFIX}{name.upper()}": str(getattr(self, name)) for name in self.__slots__}


def read_environment(variables: Mapping[str, str] = os.environ) -> PeerEnvironment:
    """Read what ``as_variables`` has written."""
    given = {name: variables[f"{_PREFIX}{name.upper()}"] for name in PeerEnvironment.__slots__}
    return PeerEnvironment(
        amqp_url=given["amqp_url"],
        postgres_dsn=given["postgres_dsn"],
        redis_url=given["redis_url"],
        graph_url=given["graph_url"],
        app_secret=given["app_secret"],
        verify_token=given["verify_token"],
        prefetch=int(given["prefetch"]),
        concurrency=int(given["concurrency"]),
        pool_size=int(given["pool_size"]),
    )
