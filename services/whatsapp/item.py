"""A delivery of the batch at hand, read."""

from typing import NamedTuple

from actors.mailbox.message import Delivery
from services.whatsapp.inbound import Inbound, InboundEvent, InboundMessage


class Item(NamedTuple):
    """A delivery and what it says.

    Attributes:
        place: in the batch.
    """

    place: int
    delivery: Delivery
    inbound: Inbound

    @property
    def id(self) -> str:
        """The mailbox id, under which it is claimed."""
        return self.delivery.message.id

    @property
    def kind(self) -> str:
        """For metrics."""
        if isinstance(self.inbound, InboundMessage):
            return "message"
        return "event" if isinstance(self.inbound, InboundEvent) else "status"
