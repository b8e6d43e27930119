"""A customer writes: the webhook that Meta would make of it."""

import random
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cluster.sandbox.customers import Customer
from cluster.sandbox.envelope import Update
from cluster.sandbox.phone_numbers import PhoneNumber
from cluster.sandbox.validation import digits_of
from cluster.sandbox.wamid import make_wamid


class InboundRequest(BaseModel):
    """What a customer is to write.

    Attributes:
        sender: digits of the customer's phone; None for a customer who shows a BSUID alone.
        user_id: the customer's BSUID, if there is one.
        text: a text message, short for ``message``.
        message: a WhatsApp message as webhooks have it; id, timestamp and sender are filled in where they are missing.
        count: as many copies, each a message with an id of its own unless ``message`` gives one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    phone_number_id: str
    sender: str | None = Field(default=None, alias="from")
    user_id: Annotated[str, Field(min_length=1, max_length=160)] | None = None
    name: Annotated[str, Field(max_length=256)] | None = None
    text: Annotated[str, Field(max_length=65_536)] | None = None
    message: dict[str, Any] | None = None
    count: Annotated[int, Field(ge=1, le=10_000)] = 1

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.text is None) == (self.message is None):
            raise ValueError("give either text or message")
        if self.sender is None and self.user_id is None:
            raise ValueError("give from, user_id or both")
        if self.sender is not None and digits_of(self.sender) is None:
            raise ValueError("from must be a phone number of 5 to 15 digits")
        return self


class Written(NamedTuple):
    """One message of a customer, ready to be sent."""

    wamid: str
    update: Update


def customer_of(request: InboundRequest, now: float) -> Customer:
    """Who writes."""
    wa_id = None if request.sender is None else digits_of(request.sender)
    return Customer(wa_id, request.user_id, request.name, now)


def write_messages(
    request: InboundRequest, number: PhoneNumber, customer: Customer, randomness: random.Random
) -> list[Written]:
    """The messages of one request, in order."""
    identity = customer.wa_id if customer.wa_id is not None else customer.user_id or ""
    given = {"type": "text", "text": {"body": request.text}} if request.message is None else request.message
    written = []
    for _ in range(request.count):
        item: dict[str, Any] = {}
        if customer.wa_id is not None:
            item["from"] = customer.wa_id
        if customer.user_id is not None:
            item["from_user_id"] = customer.user_id
        item |= {"id": make_wamid(identity, "in", randomness), "timestamp": str(int(customer.wrote_at)), **given}
        written.append(Written(str(item["id"]), Update(number, "messages", item, customer.contact())))
    return written
