"""The publisher's ledger: what it was going to publish, before it did, and what was confirmed. On disk."""

import json
import os
import time
from pathlib import Path
from typing import NamedTuple


class Intent(NamedTuple):
    """Messages ``first`` to ``first + many - 1`` of a key, published in one call."""

    key: str
    first: int
    many: int
    ttl_ms: int | None
    at: float


class Ledger:
    """One file; a line is written with one system call, so that a killed publisher has written it or has not."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def intend(self, intent: Intent) -> None:
        self._write({"intent": intent})

    def confirm(self, intent: Intent) -> None:
        self._write({"confirmed": [intent.key, intent.first, time.time()]})

    def _write(self, line: dict[str, object]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")


class Account(NamedTuple):
    """What a ledger says: intents by key, and when those were confirmed that were, by key and first number."""

    intents: dict[str, list[Intent]]
    confirmed: dict[tuple[str, int], float]

    def unconfirmed(self, key: str) -> list[Intent]:
        return [one for one in self.intents.get(key, []) if (key, one.first) not in self.confirmed]

    def following(self, key: str) -> int:
        """The number of a key's next message."""
        intents = self.intents.get(key)
        return intents[-1].first + intents[-1].many if intents else 0


def read_ledger(path: Path) -> Account:
    account = Account({}, {})
    for text in path.read_text().splitlines() if path.exists() else []:
        line = json.loads(text)
        if "intent" in line:
            intent = Intent(*line["intent"])
            account.intents.setdefault(intent.key, []).append(intent)
        else:
            key, first, at = line["confirmed"]
            account.confirmed[key, first] = at
    return account
