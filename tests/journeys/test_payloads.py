"""Every payload that Meta documents, and the hostile ones: answered 200, and everything in it is kept somewhere."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.journeys.databases import every_shard
from tests.journeys.platform import Platform, answer_to

_KEPT = """
SELECT message_id, body FROM spaza.inbound_message
UNION ALL SELECT event_id, body FROM spaza.platform_event
UNION ALL SELECT message_id, body FROM spaza.journal WHERE queue = 'dlq.whatsapp.inbound'
"""
_STATUSES = "SELECT wamid, state, body FROM {schema}.message_status"
_WAITING = """
SELECT count(*) AS waiting FROM spaza.journal j WHERE queue = 'whatsapp.inbound' AND NOT EXISTS
    (SELECT FROM spaza.settlement s WHERE (s.queue, s.partition, s.seq) = (j.queue, j.partition, j.seq))
"""
_SURROUNDINGS = {"messaging_product", "metadata", "contacts", "messages", "statuses"}


class Expected(NamedTuple):
    """One thing that a payload holds, and how to know it again."""

    id: str | None
    content: Any


def contents(payload: Any) -> Iterator[Expected]:
    """What has to be accounted for, found by another way than the platform's."""
    for entry in payload.get("entry", []):
        for change in entry.get("changes", []):
            value = change["value"]
            number = value.get("metadata", {}).get("phone_number_id", "")
            for message in value.get("messages", []):
                yield Expected(f"{number}:{message['id']}", message)
            for status in value.get("statuses", []):
                yield Expected(f"{number}:{status['id']}:{status['status']}" if "metadata" in value else None, status)
            rest = {name: part for name, part in value.items() if name not in _SURROUNDINGS}
            if rest:
                yield Expected(None, rest)


def whole(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


@pytest.mark.timeout(1800)
async def test_every_payload_is_answered_200_and_accounted_for(
    platform: Platform, client: httpx.AsyncClient, payloads: Path
) -> None:
    files = sorted((payloads / "whatsapp").iterdir())
    assert len(files) > 100

    for file in files:
        answer = await answer_to(client, platform.webhook, file.read_bytes())
        assert answer.status_code == 200, file.name

    for _ in range(600):
        if not any(row["waiting"] for row in await every_shard(platform.data_dir, _WAITING)):
            break
        await asyncio.sleep(1)
    kept = [(row["message_id"], bytes(row["body"])) for row in await every_shard(platform.data_dir, _KEPT)]
    ids = {message_id for message_id, _ in kept}
    for row in await every_shard(platform.data_dir, _STATUSES, of_each_tenant=True):
        number = json.loads(row["body"])["metadata"]["phone_number_id"]
        ids.add(f"{number}:{row['wamid']}:{row['state']}")
    items = [parsed["item"] for _, body in kept if isinstance(parsed := whole(body), dict) and "item" in parsed]
    raws = {body for _, body in kept}
    missing = []
    for file in files:
        payload = json.loads(file.read_bytes())
        if not isinstance(payload, dict) or payload.get("object") != "whatsapp_business_account":
            if file.read_bytes() not in raws:
                missing.append(f"{file.name}: the raw bytes")
            continue
        missing += [
            f"{file.name}: {expected.id or 'an event'}"
            for expected in contents(payload)
            if not is_kept(expected, ids, items)
        ]
    assert missing == []


def is_kept(expected: Expected, ids: set[str], items: Sequence[Any]) -> bool:
    """Whether it is among the ids or, without an id, the contents that were kept."""
    if expected.id is None:
        return expected.content in items
    # Who took part in a group follows in the id of a status. A message's id is the beginning of its statuses' ids.
    return expected.id in ids or (
        "status" in expected.content and any(one.startswith(f"{expected.id}:") for one in ids)
    )


def test_a_message_is_not_taken_for_kept_because_a_status_of_it_was() -> None:
    message = Expected("100:wamid.A", {"id": "wamid.A", "type": "text"})
    of_a_group = Expected("100:wamid.A:read", {"id": "wamid.A", "status": "read"})

    assert not is_kept(message, {"100:wamid.A:read"}, [])
    assert is_kept(of_a_group, {"100:wamid.A:read:27"}, [])


async def test_what_is_not_an_envelope_is_kept_byte_for_byte(platform: Platform, client: httpx.AsyncClient) -> None:
    hostile = [b"not json at all", b"{}", b"[]", b'{"object": "page", "entry": []}', b"\xff\xfe\x00", b"null"]

    for body in hostile:
        assert (await answer_to(client, platform.webhook, body)).status_code == 200, body

    kept = {bytes(row["body"]) for row in await every_shard(platform.data_dir, _KEPT)}
    assert kept >= set(hostile)
