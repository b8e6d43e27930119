"""The consumer's side as the mailbox sees it: somebody, reached by name, who takes a batch and says what of it."""

from typing import NamedTuple


class ServeConsumer(NamedTuple):
    """A Serve deployment with a method ``consume(batch: list[Delivery]) -> list[Outcome]``."""

    app: str
    deployment: str


class ActorConsumer(NamedTuple):
    """A named actor in the namespace ``spaza`` with the same method. Less overhead than a deployment."""

    name: str


ConsumerAddress = ServeConsumer | ActorConsumer
