"""What the sandbox knows of customers: who wrote to which number, and when last."""

from collections import OrderedDict
from typing import NamedTuple

WINDOW_S = 24 * 3600


class Customer(NamedTuple):
    """One customer of one business number.

    Attributes:
        wa_id: digits of the phone number; None for who is known by BSUID alone.
        user_id: the BSUID, where there is one.
        wrote_at: Unix seconds of the last message.
    """

    wa_id: str | None
    user_id: str | None
    name: str | None
    wrote_at: float

    def contact(self) -> dict[str, object]:
        """The entry in ``contacts`` of a webhook."""
        contact: dict[str, object] = {}
        if self.name is not None:
            contact["profile"] = {"name": self.name}
        if self.wa_id is not None:
            contact["wa_id"] = self.wa_id
        if self.user_id is not None:
            contact["user_id"] = self.user_id
        return contact


class Customers:
    """Customers by business number and by phone or BSUID; the longest silent are forgotten beyond the limit."""

    def __init__(self, limit: int) -> None:
        self._known: OrderedDict[tuple[str, str], Customer] = OrderedDict()
        self._limit = limit

    def wrote(self, phone_number_id: str, customer: Customer) -> None:
        """Remember that a customer wrote."""
        for identity in (customer.wa_id, customer.user_id):
            if identity is not None:
                self._known[(phone_number_id, identity)] = customer
                self._known.move_to_end((phone_number_id, identity))
        while len(self._known) > self._limit:
            self._known.popitem(last=False)

    def find(self, phone_number_id: str, identity: str) -> Customer | None:
        """The customer with this phone number or BSUID."""
        return self._known.get((phone_number_id, identity))

    def within_window(self, phone_number_id: str, identity: str, now: float) -> bool:
        """Whether the customer wrote in the last 24 hours, so that more than templates may be sent."""
        customer = self.find(phone_number_id, identity)
        return customer is not None and now - customer.wrote_at <= WINDOW_S
