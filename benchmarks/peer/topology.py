"""The peer's topology in RabbitMQ: a topic exchange, a durable quorum queue, its dead-letter queue."""

from aio_pika.abc import AbstractChannel, AbstractQueue, ExchangeType

EXCHANGE = "whatsapp.messages"
QUEUE = "whatsapp.inbound"
ROUTING_KEY = "inbound.message"
_DEAD_LETTERS = "dlx.whatsapp"


async def declare(channel: AbstractChannel) -> AbstractQueue:
    """Declare all of it; what is there already stays."""
    dead_letters = await channel.declare_exchange(_DEAD_LETTERS, ExchangeType.FANOUT, durable=True)
    dead = await channel.declare_queue(f"dlq.{QUEUE}", durable=True, arguments={"x-queue-type": "quorum"})
    await dead.bind(dead_letters)
    exchange = await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)
    queue = await channel.declare_queue(
        QUEUE,
        durable=True,
        arguments={"x-queue-type": "quorum", "x-delivery-limit": 20, "x-dead-letter-exchange": _DEAD_LETTERS},
    )
    await queue.bind(exchange, "inbound.*")
    return queue
