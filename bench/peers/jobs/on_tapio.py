# SPDX-License-Identifier: MIT
"""tapio-py: an actor is an asyncio task with a behaviour; messages are pydantic models."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from time import perf_counter

from tapio import ActorRef, ActorSystem, Behavior, Behaviors, Message

from bench.peers._job import TIMEOUT, YIELD_EVERY, main_async


class Add(Message):
    """One way."""

    number: int


class Answer(Message):
    """A reply."""

    number: int


class Ask(Message):
    """A request."""

    number: int
    reply_to: ActorRef[Answer]


class End(Message):
    """An order to stop."""


async def one_way(count: int) -> float:
    """Return tells per second."""
    done = asyncio.Event()
    left = count

    async def on_add(message: Add) -> Behavior[Add]:
        nonlocal left
        left -= 1
        if not left:
            done.set()
        return Behaviors.same()

    async with ActorSystem("bench") as system:
        counter = system.spawn(Behaviors.receive_message(on_add), name="counter")
        began = perf_counter()
        for number in range(count):
            counter.tell(Add(number=number))
            if number % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
        await done.wait()
        return count / (perf_counter() - began)


async def round_trips(count: int, callers: int) -> float:
    """Return asks per second."""

    async def on_ask(message: Ask) -> Behavior[Ask]:
        message.reply_to.tell(Answer(number=message.number))
        return Behaviors.same()

    async with ActorSystem("bench") as system:
        server = system.spawn(Behaviors.receive_message(on_ask), name="server")
        limit = timedelta(seconds=TIMEOUT)

        async def caller() -> None:
            for _ in range(count // callers):
                await server.ask(lambda ref: Ask(number=1, reply_to=ref), expect=Answer, timeout=limit)

        began = perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return count / (perf_counter() - began)


async def start_stop(count: int) -> float:
    """Return actors per second, each started and told to stop; their ends are awaited with the system's."""

    async def on_end(message: End) -> Behavior[End]:
        return Behaviors.stopped()

    began = perf_counter()
    async with ActorSystem("bench") as system:
        actors = [system.spawn_anonymous(Behaviors.receive_message(on_end)) for _ in range(count)]
        for actor in actors:
            actor.tell(End())
    return count / (perf_counter() - began)


if __name__ == "__main__":
    main_async(one_way, round_trips, start_stop)
