"""Closed and open loops over prepared messages."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from benchmarks.load.connection import Connection
from benchmarks.load.job import Job, LoadResult, now
from benchmarks.messages import PreparedMessage


async def run(job: Job, messages: Sequence[PreparedMessage]) -> LoadResult:
    """Send a job's messages and note each answer."""
    record = LoadResult(job.first, [0.0] * job.count, [0.0] * job.count, [0] * job.count, 0.0)
    closed = [await Connection.open(job.url) for _ in range(job.connections if job.rate is None else 1)]
    cpu_before = time.process_time()
    if job.rate is None:
        turns = iter(range(job.count))
        await asyncio.gather(*(_closed_loop(job, messages, record, turns, connection) for connection in closed))
    else:
        await _open_loop(job, job.rate, messages, record, closed)
    used = time.process_time() - cpu_before
    return LoadResult(job.first, record.due_s, record.answered_s, record.statuses, used)


async def _closed_loop(
    job: Job, messages: Sequence[PreparedMessage], record: LoadResult, turns: Iterator[int], connection: Connection
) -> None:
    for index in turns:
        record.due_s[index] = now()
        connection = await _send(job, messages[index], record, index, connection)
    connection.close()


async def _open_loop(
    job: Job, rate: float, messages: Sequence[PreparedMessage], record: LoadResult, idle: list[Connection]
) -> None:
    slots = asyncio.Semaphore(job.connections)

    async def one(index: int) -> None:
        async with slots:
            connection = idle.pop() if idle else await _reopened(job)
            idle.append(await _send(job, messages[index], record, index, connection))

    start = now() + 0.05
    async with asyncio.TaskGroup() as under_way:
        for index in range(job.count):
            due = record.due_s[index] = start + index / rate
            if (early := due - now()) > 0:
                await asyncio.sleep(early)
            under_way.create_task(one(index))
    for connection in idle:
        connection.close()


async def _send(
    job: Job, message: PreparedMessage, record: LoadResult, index: int, connection: Connection
) -> Connection:
    if connection.closed:
        connection = await _reopened(job)
    record.statuses[index] = await connection.exchange(message.request, job.timeout_s)
    record.answered_s[index] = now()
    return connection


async def _reopened(job: Job) -> Connection:
    try:
        async with asyncio.timeout(job.timeout_s):
            return await Connection.open(job.url)
    except (OSError, TimeoutError):
        return Connection()  # stays closed: the message counts as not answered
