import pytest

from actors.mailbox.message import Delivery, Message
from services.outgoing.message import decode, encode


@pytest.mark.parametrize("recipient", [{"to": "+27821110001"}, {"recipient": "ZA.1"}])
def test_what_is_written_is_what_is_read(recipient: dict[str, str]) -> None:
    payload = {"type": "text", "text": {"body": "käse 🧀"}}
    message = Message("m1", "k", "a" * 32, encode("100", recipient, payload), {}, 1.0)

    read = decode(0, Delivery(message, "notifications.whatsapp", 1, 1, 1, 1, False))

    assert (read.phone_number_id, read.recipient, read.payload) == ("100", recipient, payload)
