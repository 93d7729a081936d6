# SPDX-License-Identifier: MIT
"""Pykka: an actor is a thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import pykka

from bench.peers._job import CALLERS, TIMEOUT, main


class Counter(pykka.ThreadingActor):
    """Counts."""

    def __init__(self, expected: int = 0) -> None:
        super().__init__()
        self.left = expected
        self.done = threading.Event()

    def on_receive(self, message: object) -> object:
        """Count, or hand out the event that is set when all have come."""
        if message == "done":
            return self.done
        self.left -= 1
        if not self.left:
            self.done.set()
        return message


def one_way(count: int) -> float:
    """Return tells per second."""
    counter = Counter.start(count)
    done = counter.ask("done", timeout=TIMEOUT)
    began = perf_counter()
    for number in range(count):
        counter.tell(number)
    done.wait(TIMEOUT)
    return count / (perf_counter() - began)


def round_trips(count: int, callers: int) -> float:
    """Return asks per second; each caller is a thread."""
    counter = Counter.start()

    def caller() -> None:
        for _ in range(count // callers):
            counter.ask(1, timeout=TIMEOUT)

    with ThreadPoolExecutor(callers) as pool:
        began = perf_counter()
        for future in [pool.submit(caller) for _ in range(callers)]:
            future.result()
        return count / (perf_counter() - began)


def start_stop(count: int) -> float:
    """Return actors per second, each started and stopped, its end awaited."""
    began = perf_counter()
    counters = [Counter.start() for _ in range(count)]
    for counter in counters:
        counter.stop(timeout=TIMEOUT)
    return count / (perf_counter() - began)


if __name__ == "__main__":
    main(
        {
            "a": one_way,
            "b": lambda count: round_trips(count, 1),
            "c": lambda count: round_trips(count, CALLERS),
            "d": start_stop,
        }
    )
