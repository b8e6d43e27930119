"""The publisher, a program of its own that may be killed: ``python -m tests.cluster.chaos.publisher LEDGER ADDRESS``.

Of each key one call is outstanding. What its ledger says was intended and not confirmed it publishes first, under the
same ids. On SIGTERM it ends when all that it has begun is confirmed.
"""

import asyncio
import random
import signal
import sys
import time
from pathlib import Path

import ray

from actors.mailbox import MailboxHandle, Message
from actors.mailbox.errors import MailboxError
from tests.cluster.chaos.declared import HOT_KEYS, KEYS, TOPOLOGY
from tests.cluster.chaos.ledger import Account, Intent, Ledger, read_ledger

_TTLS_MS = (300, 600, 1200)  # a hot key's messages take longer than that, one after the other


def messages(intent: Intent) -> list[Message]:
    body = str(intent.at).encode()
    return [
        Message(f"{intent.key}-{number}", intent.key, f"t{intent.key[-1]}", body, {}, intent.at, ttl_ms=intent.ttl_ms)
        for number in range(intent.first, intent.first + intent.many)
    ]


async def surely(handle: MailboxHandle, ledger: Ledger, intent: Intent) -> None:
    """Again, as Meta does, until it is confirmed."""
    while True:
        try:
            await handle.publish("in", "a.b", messages(intent), timeout_s=2.0)
        except MailboxError:
            await asyncio.sleep(0.1)
        else:
            ledger.confirm(intent)
            return


async def publish_key(handle: MailboxHandle, ledger: Ledger, account: Account, key: str, ended: asyncio.Event) -> None:
    for intent in account.unconfirmed(key):
        await surely(handle, ledger, intent)
    following = account.following(key)
    while not ended.is_set():
        hot = key in HOT_KEYS
        ttl_ms = random.choice(_TTLS_MS) if hot or random.random() < 0.2 else None
        intent = Intent(key, following, random.randint(80, 160) if hot else random.randint(1, 4), ttl_ms, time.time())
        ledger.intend(intent)
        await surely(handle, ledger, intent)
        following += intent.many
        await asyncio.sleep(random.uniform(0.1, 0.4) if not hot else random.uniform(3.0, 6.0))


async def main() -> None:
    path = Path(sys.argv[1])
    ray.init(address=sys.argv[2], namespace="spaza", log_to_driver=False)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    handle, account, ledger = MailboxHandle(TOPOLOGY), read_ledger(path), Ledger(path)
    await asyncio.gather(*(publish_key(handle, ledger, account, key, ended) for key in KEYS + HOT_KEYS))


if __name__ == "__main__":
    asyncio.run(main())
