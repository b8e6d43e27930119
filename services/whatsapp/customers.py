"""Whose conversation a message belongs to, while Meta names the customer by phone, by an id of its own, or by both.

The business-scoped id decides; the phone decides where there is no such id. A phone that turns up with another id
has changed hands, so its new owner does not see the conversation of the old one.
"""

from collections.abc import Iterable
from datetime import datetime

from kernel.identifiers import new_id
from services.whatsapp.conversation import Conversation, Stage
from services.whatsapp.inbound import Customer


class Customers:
    """The conversations of those who wrote in one batch, in memory; remembers which of them changed.

    Its invariant: one conversation for each id, and one for each phone.
    """

    def __init__(self, known: Iterable[Conversation]) -> None:
        self._by_user: dict[str, Conversation] = {}
        self._by_phone: dict[str, Conversation] = {}
        self._changed: dict[str, Conversation] = {}
        for conversation in known:
            self._index(conversation)

    def conversation_of(self, customer: Customer, now: datetime) -> Conversation:
        """The customer's conversation, with what the message newly tells of who he is; a new one if there is none.

        Args:
            customer: as a message names him.
            now: the beginning of a new conversation.
        """
        user_id, phone = customer
        by_user = self._by_user.get(user_id) if user_id else None
        by_phone = self._by_phone.get(phone) if phone else None
        if by_user is None and by_phone is not None and (not user_id or by_phone.user_id is None):
            return self._known(by_phone, user_id=user_id, phone=phone)
        if by_user is None:
            by_user = Conversation(new_id(), user_id, None, None, Stage.NEW, now)
        if by_phone is not None and by_phone.id != by_user.id:
            by_user = self._take_over(by_user, by_phone)
        return self._known(by_user, user_id=user_id, phone=phone)

    def put(self, conversation: Conversation) -> None:
        """Replace a conversation by its next state."""
        self._index(conversation)
        self._changed.pop(conversation.id, None)
        self._changed[conversation.id] = conversation

    def changed(self) -> list[Conversation]:
        """What is to be written: those that gave up their phone first, for a phone is unique."""
        return sorted(self._changed.values(), key=lambda conversation: conversation.phone is not None)

    def _known(self, conversation: Conversation, *, user_id: str | None, phone: str | None) -> Conversation:
        learned = conversation._replace(user_id=user_id or conversation.user_id, phone=phone or conversation.phone)
        if learned != conversation or conversation.id not in self._changed:
            if learned.phone != conversation.phone and conversation.phone is not None:
                self._by_phone.pop(conversation.phone, None)
            self.put(learned)
        return learned

    def _take_over(self, heir: Conversation, former: Conversation) -> Conversation:
        """Give the phone of one conversation to another; the same customer's, if the former knew the phone alone."""
        same = former.user_id is None
        assert former.phone is not None
        self._by_phone.pop(former.phone)
        self.put(former._replace(phone=None, merged_into=heir.id if same else former.merged_into))
        if not same:
            return heir
        return heir._replace(
            name=heir.name if heir.name is not None else former.name,
            stage=former.stage if heir.stage is Stage.NEW else heir.stage,
            last_inbound_at=max(heir.last_inbound_at, former.last_inbound_at),
        )

    def _index(self, conversation: Conversation) -> None:
        if conversation.user_id is not None:
            self._by_user[conversation.user_id] = conversation
        if conversation.phone is not None:
            self._by_phone[conversation.phone] = conversation
