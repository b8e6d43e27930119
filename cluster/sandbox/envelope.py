"""The envelope in which Meta sends what happened: entries of accounts, changes of numbers, messages and statuses."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from cluster.sandbox.phone_numbers import PhoneNumber


class Update(NamedTuple):
    """One message or status on its way to the callback.

    Attributes:
        item: the entry in ``messages`` or ``statuses``.
        contact: the entry in ``contacts`` that goes with it, if any.
    """

    number: PhoneNumber
    kind: Literal["messages", "statuses"]
    item: dict[str, Any]
    contact: dict[str, Any] | None


def build_envelope(updates: Sequence[Update]) -> dict[str, Any]:
    """One webhook of all these updates.

    Returns:
        one entry an account, and in it one change for the messages and one for the statuses of each number, all in
        the order in which they first appear; a contact stands once in its change.
    """
    entries: dict[str, dict[str, Any]] = {}
    values: dict[tuple[str, str], dict[str, Any]] = {}
    for number, kind, item, contact in updates:
        value = values.get((number.phone_number_id, kind))
        if value is None:
            value = {
                "messaging_product": "whatsapp",
                "metadata": {
                    "display_phone_number": number.digits or number.display_phone_number,
                    "phone_number_id": number.phone_number_id,
                },
            }
            values[(number.phone_number_id, kind)] = value
            entry = entries.setdefault(number.waba_id, {"id": number.waba_id, "changes": []})
            entry["changes"].append({"value": value, "field": "messages"})
        if contact is not None and contact not in value.setdefault("contacts", []):
            value["contacts"].append(contact)
        value.setdefault(kind, []).append(item)
    return {"object": "whatsapp_business_account", "entry": list(entries.values())}
