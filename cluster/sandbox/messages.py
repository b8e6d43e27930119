"""``POST /{phone_number_id}/messages``: every decision from the token to the answer, without any input or output."""

import base64
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from cluster.sandbox.clock import Clock
from cluster.sandbox.customers import Customers
from cluster.sandbox.fields import Fields, text_in
from cluster.sandbox.graph_errors import GraphError, invalid_token, refusal
from cluster.sandbox.knobs import Knobs, Panel
from cluster.sandbox.outbox import Outbox, Sent
from cluster.sandbox.phone_numbers import PhoneNumber, PhoneNumbers
from cluster.sandbox.rates import Pacer
from cluster.sandbox.statuses import Accepted, PlannedStatus, plan_statuses
from cluster.sandbox.validation import Recipient, check_message, check_product, digits_of, recipient_of
from cluster.sandbox.wamid import make_wamid

_BEARER = "bearer "
_SUCCESS = b'{"success":true}'


class Answer(NamedTuple):
    """What the Graph API answers.

    Attributes:
        lost: the message was accepted, and its sender is not to hear of it.
    """

    status: int
    body: bytes
    lost: bool = False


class MessageDesk:
    """Takes messages as Meta does: token, request, health, limits of the content, rates, window, then a wamid.

    Owns nothing but its counts; everything it decides on is passed in.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        panel: Panel,
        numbers: PhoneNumbers,
        customers: Customers,
        outbox: Outbox,
        pairs: Pacer,
        throughput: Pacer,
        follow: Callable[[Accepted, list[PlannedStatus]], None],
        randomness: random.Random,
    ) -> None:
        self._clock, self._panel, self._numbers, self._customers = clock, panel, numbers, customers
        self._outbox, self._pairs, self._throughput = outbox, pairs, throughput
        self._follow, self._random = follow, randomness
        self.accepted = 0
        self.refused: Counter[int] = Counter()

    def post(self, phone_number_id: str, authorization: str | None, body: bytes) -> Answer:
        """Answer one request, of which ``authorization`` is the header, ``Bearer <token>``."""
        try:
            number = self._numbers.authorise(phone_number_id, _token(authorization))
            return self._take(number, _message(body), body)
        except GraphError as error:
            return self.refuse(error)

    def refuse(self, error: GraphError) -> Answer:
        """The answer that carries an error."""
        self.refused[error.number] += 1
        trace_id = "A" + base64.urlsafe_b64encode(self._random.randbytes(16)).rstrip(b"=").decode()
        return Answer(error.status, error.body(trace_id))

    def statistics(self) -> dict[str, Any]:
        """How many were accepted, and how many refused by error code."""
        return {"accepted": self.accepted, "refused": {str(code): n for code, n in sorted(self.refused.items())}}

    def _take(self, number: PhoneNumber, message: Fields, body: bytes) -> Answer:
        knobs, now = self._panel.knobs, self._clock.now()
        self._check_health(knobs)
        if message.get("status") == "read":
            check_product(message)
            text_in(message, "message_id", "message_id", most=512)
            return Answer(200, _SUCCESS)
        check_message(message)
        recipient = recipient_of(message)
        if recipient.wa_id is not None:
            _check_recipient(knobs, number, recipient.wa_id)
        is_template = message.get("type") == "template"
        failure = self._check_window(knobs, number, recipient, now, is_template=is_template)
        self._check_rates(knobs, number, recipient, now)
        customer = self._customers.find(number.phone_number_id, recipient.identity)
        wamid = make_wamid(recipient.identity, "out", self._random)
        callback_data = message.get("biz_opaque_callback_data")
        accepted = Accepted(number, recipient, customer, wamid, callback_data, is_template, failure)
        return self._accept(accepted, body, now)

    def _check_health(self, knobs: Knobs) -> None:
        if knobs.maintenance:
            raise refusal(131057)
        if knobs.error_131000 > 0 and self._random.random() < knobs.error_131000:
            raise refusal(131000)
        if knobs.error_131016 > 0 and self._random.random() < knobs.error_131016:
            raise refusal(131016)

    def _check_window(
        self, knobs: Knobs, number: PhoneNumber, recipient: Recipient, now: float, *, is_template: bool
    ) -> int | None:
        """The error with which the message will fail later, if it will."""
        outside = (
            knobs.customer_window != "off"
            and not is_template
            and not self._customers.within_window(number.phone_number_id, recipient.identity, now)
        )
        if outside and knobs.customer_window == "sync":
            raise refusal(131047)
        if outside:
            return 131047
        return knobs.fail_code if knobs.fail > 0 and self._random.random() < knobs.fail else None

    def _check_rates(self, knobs: Knobs, number: PhoneNumber, recipient: Recipient, now: float) -> None:
        # The pair first: a message that it refuses has not used any throughput.
        pair = f"{number.phone_number_id}:{recipient.identity}"
        if knobs.pair_limit and not self._pairs.take(
            pair, now, interval_s=knobs.pair_interval_s, burst=knobs.pair_burst
        ):
            raise refusal(131056)
        mps = knobs.throughput_mps
        if mps is not None and not self._throughput.take(number.phone_number_id, now, interval_s=1 / mps, burst=mps):
            raise refusal(130429)

    def _accept(self, accepted: Accepted, body: bytes, now: float) -> Answer:
        knobs, to = self._panel.knobs, accepted.recipient.identity
        number_id, callback_data = accepted.number.phone_number_id, accepted.biz_opaque_callback_data
        self.accepted += 1
        self._outbox.add(Sent(accepted.wamid, number_id, to, now, body, callback_data))
        planned = plan_statuses(knobs, self._random, failed=accepted.failure is not None)
        if planned:
            self._follow(accepted, planned)
        lost = knobs.lost_answer > 0 and self._random.random() < knobs.lost_answer
        return Answer(200, _accepted_body(accepted), lost)


def _token(authorization: str | None) -> str:
    if authorization is None or not authorization.lower().startswith(_BEARER):
        raise invalid_token()
    return authorization[len(_BEARER) :].strip()


def _message(body: bytes) -> Fields:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise refusal(100, "The request body is not valid JSON.") from None
    if not isinstance(message, dict):
        raise refusal(100, "The request body must be a JSON object.")
    return message


def _check_recipient(knobs: Knobs, number: PhoneNumber, wa_id: str) -> None:
    if wa_id == number.digits:
        raise refusal(131021)
    if knobs.allowed_recipients is not None and wa_id not in {digits_of(one) for one in knobs.allowed_recipients}:
        raise refusal(131030)


def _accepted_body(accepted: Accepted) -> bytes:
    recipient = accepted.recipient
    contact = {"input": recipient.given}
    if recipient.wa_id is not None:
        contact["wa_id"] = recipient.wa_id
    if recipient.user_id is not None:
        contact["user_id"] = recipient.user_id
    message = {"id": accepted.wamid}
    if accepted.is_template:
        message["message_status"] = "accepted"
    return orjson.dumps({"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]})
