"""Deliveries on their way to another process."""

import pickle
from itertools import count
from typing import Any

from ray import cloudpickle

from actors.mailbox.consumer import Parcel
from actors.mailbox.message import Delivery, HeaderValue, Message

NUMBERS = count(1)
# Ray's is another.
DUMPS: tuple[Any, ...] = (pickle.dumps, cloudpickle.dumps)


def delivery() -> Delivery:
    number = next(NUMBERS)
    headers: dict[str, HeaderValue] = {"x-exchange": "in", "x-death": [{"count": number}]}
    return Delivery(Message(f"m{number}", "k", "t", bytes([number]), headers, 1.5, 9, 7), "q", 3, number, 1, 2, True, 4)


def test_deliveries_arrive_as_the_list_of_records_that_they_were() -> None:
    deliveries = [delivery(), delivery()]

    for dumps in DUMPS:
        arrived = pickle.loads(dumps(Parcel(deliveries)))
        assert type(arrived) is list
        assert arrived == deliveries
        assert {type(one) for one in arrived} == {Delivery}
        assert {type(one.message) for one in arrived} == {Message}


def test_an_empty_batch_asks_whether_somebody_is_there() -> None:
    assert pickle.loads(pickle.dumps(Parcel([]))) == []
