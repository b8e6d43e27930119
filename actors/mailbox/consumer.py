"""The consumer's side as the mailbox sees it: somebody, reached by name, who takes a batch and says what of it."""

import asyncio
import pickle
from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple, Protocol

import ray
from ray.exceptions import RayTaskError

from actors.mailbox.message import Delivery, Message, Outcome

_NAMESPACE = "spaza"
_KINDS = frozenset({"ack", "retry_after", "reject"})


class ServeConsumer(NamedTuple):
    """A Serve deployment with a method ``consume(batch: list[Delivery]) -> list[Outcome]``.

    An empty batch asks whether somebody is there, and is answered with an empty list.
    """

    app: str
    deployment: str


class ActorConsumer(NamedTuple):
    """A named actor in the namespace ``spaza`` with the same method. Less overhead than a deployment."""

    name: str


ConsumerAddress = ServeConsumer | ActorConsumer


class ConsumerLostError(Exception):
    """No answer came: the consumer died, raised, took too long or was not there. For the dispatcher alone.

    Attributes:
        raised: the consumer itself raised, or answered nonsense, so it is alive.
        reached: whether the call may have come to it.
    """

    def __init__(self, detail: str, raised: bool, reached: bool = True) -> None:
        super().__init__(detail, raised, reached)
        self.detail, self.raised, self.reached = detail, raised, reached

    def __str__(self) -> str:
        return self.detail


class Consumer(Protocol):
    """Takes batches."""

    async def consume(self, batch: list[Delivery], timeout_s: float | None) -> object:
        """Hand a batch over and wait for what should be a list with an outcome for each, in order.

        Args:
            batch: empty to ask whether somebody is there.
            timeout_s: how long to wait; None where the caller sees to it.

        Raises:
            ConsumerLostError: there is no answer.
        """


class Parcel(list[Delivery]):
    """Deliveries that go to another process as plain tuples: a sixth of the cost of records. They arrive as a list."""

    def __reduce__(self) -> tuple[Callable[[bytes], list[Delivery]], tuple[bytes]]:
        return _unpacked, (pickle.dumps([(tuple(one[0]), *one[1:]) for one in self], protocol=5),)


class RayConsumer:
    """Reaches a consumer through Ray. Finds it anew after it was lost."""

    def __init__(self, address: ConsumerAddress) -> None:
        self._address = address
        self._target: Any = None

    async def consume(self, batch: list[Delivery], timeout_s: float | None) -> object:
        reached = False
        try:
            async with asyncio.timeout(timeout_s):
                if self._target is None:
                    # Looking a name up asks Ray's control service and blocks.
                    self._target = await asyncio.to_thread(_find, self._address)
                reached = True
                answer: object = await self._target.consume.remote(Parcel(batch))
        except RayTaskError as error:
            raise ConsumerLostError(f"it raised {type(error.cause).__name__}", raised=True) from error
        except Exception as error:  # whatever Ray or Serve raise, there is no answer
            self._target = None
            raise ConsumerLostError(type(error).__name__, raised=False, reached=reached) from error
        return answer


def outcomes_of(answer: object, deliveries: int) -> list[Outcome]:
    """What a consumer answered, if it is an outcome for each delivery.

    Raises:
        ConsumerLostError: it is something else, which says of no delivery what became of it.
    """
    if not isinstance(answer, list):
        raise ConsumerLostError(f"it answered {type(answer).__name__}, no list of outcomes", raised=True)
    if len(answer) != deliveries:
        raise ConsumerLostError(f"{len(answer)} outcomes for {deliveries} deliveries", raised=True)
    for one in answer:
        if not isinstance(one, Outcome) or one.kind not in _KINDS or not _is_delay(one.delay_s):
            raise ConsumerLostError(f"no outcome: {type(one).__name__}", raised=True)
        if not isinstance(one.reason, str):
            raise ConsumerLostError("an outcome's reason is text", raised=True)
    return answer


def _is_delay(value: object) -> bool:
    return isinstance(value, int | float) and -inf < value < inf  # of whole numbers of any size


def _unpacked(parcel: bytes) -> list[Delivery]:
    make, message = Delivery._make, Message._make
    return [make((message(one[0]), *one[1:])) for one in pickle.loads(parcel)]  # noqa: S301 - packed above


def _find(address: ConsumerAddress) -> Any:
    if isinstance(address, ActorConsumer):
        return ray.get_actor(address.name, namespace=_NAMESPACE)
    from ray import serve  # noqa: PLC0415 - large, and not every publisher's process needs it

    return serve.get_deployment_handle(address.deployment, address.app, _check_exists=False)
