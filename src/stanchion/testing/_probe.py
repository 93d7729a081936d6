# SPDX-License-Identifier: MIT
"""Probe: a process that stands for another one in a test, and tells what it received."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar, cast, overload

from stanchion._validate import Seconds, cut, one_of, seconds
from stanchion.errors import InvalidOptionError
from stanchion.kernel import (
    CALL,
    PROCESS,
    STOP,
    SYSTEM,
    Envelope,
    Exit,
    ExitReason,
    Name,
    Pid,
    Process,
    ProcessExit,
    Token,
    current_node,
    defer,
    run_process,
)
from stanchion.server import GenServer, Sender, answer_system, reply
from stanchion.testing._patterns import ANYTHING, Anything, matches, told

_T = TypeVar("_T")

Ack = Literal["accept", "hold"]

_AFTERWARDS: Final = 0.1


class Probe:
    """A process of the running node that keeps what it receives, for the test to ask about.

    Give its ``pid``, or its name, to the code under test, and ``expect`` what that sends. Casts, calls, plain sends,
    supervised sends and ``Down`` messages come in one order. The probe traps exits, so that the exit of a linked process is
    a message, too. For the functions of sys it is a server: ``replace_state`` gives it the state that ``get_state`` tells,
    and suspended it takes no message.

    Attributes:
        pid: The process.

    Source: ``assert_receive`` and ``refute_receive`` of ExUnit, where the test itself is the process; TestProbe of Akka.
    """

    def __init__(self, name: Name | None = None, *, ack: Ack = "accept") -> None:
        """Start a probe.

        Args:
            name: The name to register, or None.
            ack: ``"accept"`` acknowledges each supervised send when it comes; ``"hold"`` leaves it to ``accept`` and
                ``reject``.

        Raises:
            NameTakenError: a live process holds the name.
            InvalidOptionError: an argument is wrong.
            NoNodeError: the code runs outside of every node.
        """
        one_of("Probe(ack)", ack, ("accept", "hold"))
        self._holds = ack == "hold"
        # Whose state the functions of sys tell and replace.
        self._server = GenServer()
        # What came and was not expected yet, in order.
        self._waiting: list[Envelope] = []
        self._last: Envelope | None = None
        self._news = asyncio.Event()
        node = current_node("Probe()")
        self._process: Final[Process] = run_process(node, self._body, code="Probe", name=name)
        self._process.served = self._process.trap_exit = True
        self.pid: Final[Pid] = self._process.pid

    @property
    def messages(self) -> list[object]:
        """What came and was not expected yet, in the order of arrival."""
        return [message for _, message, _ in self._waiting]

    @overload
    async def expect(self, what: Anything = ANYTHING, *, timeout: Seconds = 1.0) -> object: ...
    @overload
    async def expect(self, what: type[_T], *, timeout: Seconds = 1.0) -> _T: ...
    @overload
    async def expect(self, what: Callable[[Any], object], *, timeout: Seconds = 1.0) -> object: ...
    @overload
    async def expect(self, what: _T, *, timeout: Seconds = 1.0) -> _T: ...
    async def expect(self, what: object = ANYTHING, *, timeout: Seconds = 1.0) -> object:
        """Wait for a message, and take it out of ``messages``; those before it that do not match stay there.

        Args:
            what: A class, whose instance it must be; a function, which must return true for it; or a value, which it
                must equal. By default any message will do.
            timeout: Seconds to wait; 0 looks only at what has come.

        Returns:
            The message.

        Raises:
            AssertionError: none came in time. The text has what came instead, and whether it came just after.
            InvalidOptionError: ``timeout`` is no duration.

        Cancellation: nothing is taken.
        """
        __tracebackhide__ = True
        limit = seconds("Probe.expect(timeout)", timeout)
        envelope = await self._match(what, limit)
        if envelope is None:
            before = self.messages
            late = await self._match(what, max(limit, _AFTERWARDS))
            raise AssertionError(self._missed(what, limit, before, late))
        # Not remove(), which would compare messages, and not the first equal one, either.
        del self._waiting[next(at for at, kept in enumerate(self._waiting) if kept is envelope)]
        self._last = envelope
        return envelope[1]

    async def refuse(self, what: object = ANYTHING, *, within: Seconds = 1.0) -> None:
        """Check that no such message is in ``messages`` and that none comes for a while.

        Args:
            what: See ``expect``.
            within: Seconds to wait; 0 looks only at what has come.

        Raises:
            AssertionError: one came.
            InvalidOptionError: ``within`` is no duration.
        """
        __tracebackhide__ = True
        limit = seconds("Probe.refuse(within)", within)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        envelope = await self._match(what, limit)
        if envelope is None:
            return
        kind, message, _ = envelope
        raise AssertionError(
            f"{self!r}: expected not to receive {told(what)} within {limit:g} s, "
            f"got the {kind} {cut(message)} after {loop.time() - begin:g} s"
        )

    def reply(self, value: object) -> None:
        """Answer the call that ``expect`` returned last.

        Raises:
            InvalidOptionError: what it returned last is no call.
        """
        token = self._token("reply")
        if not isinstance(token, Sender):
            raise self._wrong("reply", "a call")
        reply(token, value)

    def accept(self) -> None:
        """Acknowledge the supervised send that ``expect`` returned last as processed; for ``ack="hold"``.

        Raises:
            InvalidOptionError: what it returned last is no supervised send.
        """
        self._settled("accept").processed()

    def reject(self, detail: str, *, retry: bool = False) -> None:
        """Refuse the supervised send that ``expect`` returned last; for ``ack="hold"``.

        Args:
            detail: Why, for people.
            retry: Whether its sender is to try again.

        Raises:
            InvalidOptionError: what it returned last is no supervised send.
        """
        self._settled("reject").refused(detail, known=True, retry=retry)

    def run(self, function: Callable[..., _T], *args: Any, **options: Any) -> _T:
        """Run a plain function as if the probe did: ``probe.run(st.monitor, "counter")``, ``probe.run(st.link, pid)``.

        Args:
            function: No coroutine function.
            args: Its arguments.
            options: Its keyword arguments.

        Returns:
            What it returned.

        Raises:
            InvalidOptionError: ``function`` is a coroutine function.
            Exception: whatever it raised.
        """
        if inspect.iscoroutinefunction(function) or not callable(function):
            raise InvalidOptionError(
                "Probe.run(function)",
                expected="a plain function",
                got=cut(function),
                fix="spawn() a process that does what has to wait.",
            )
        before = PROCESS.set(self._process)
        try:
            return function(*args, **options)
        finally:
            PROCESS.reset(before)

    def _settled(self, verb: str) -> Token:
        """Return the token of the supervised send in hand, which is to be settled now."""
        token = self._token(verb)
        (self._process.deferred or {}).pop(token, None)
        return token

    def _token(self, verb: str) -> Token:
        token = None if self._last is None else self._last[2]
        if token is None or (verb != "reply" and isinstance(token, Sender)):
            raise self._wrong(verb, "a call" if verb == "reply" else "a supervised send")
        return token

    def _wrong(self, verb: str, expected: str) -> InvalidOptionError:
        return InvalidOptionError(
            f"Probe.{verb}()",
            expected=f"{expected} that expect() returned before",
            got="nothing" if self._last is None else f"the {self._last[0]} {cut(self._last[1])}",
        )

    async def _match(self, what: object, limit: float) -> Envelope | None:
        """Return the first message that matches, or None when none came in time."""
        found = self._look(what)
        if found is None and limit:
            try:
                async with asyncio.timeout(limit):
                    while found is None:
                        self._news.clear()
                        await self._news.wait()
                        found = self._look(what)
            except TimeoutError:
                found = self._look(what)  # one that came in the very step of the timeout is in time
        return found

    def _look(self, what: object) -> Envelope | None:
        return next((envelope for envelope in self._waiting if matches(what, envelope[1])), None)

    def _missed(self, what: object, limit: float, before: list[object], late: Envelope | None) -> str:
        text = f"{self!r}: expected {told(what)} within {limit:g} s, got "
        text += "\n  ".join(["these messages:", *map(cut, before)]) if before else "no message"
        if late is not None:
            text += f"\nIt arrived just after: {cut(late[1])}\nFix: pass a longer timeout=, if that is in time."
        if not self.pid.alive:
            text += "\nThe probe has ended."
        return text

    async def _body(self, process: Process) -> None:
        mailbox = process.mailbox
        while True:
            while not mailbox.queue:
                await mailbox.wait()
            envelope = process.handling = mailbox.queue.popleft()
            kind, message, token = envelope
            if kind == STOP:
                raise ProcessExit(cast("ExitReason", message))
            if kind == SYSTEM:
                ended = await answer_system(process, self._server, envelope)
                if ended is not None:
                    raise ProcessExit(ended)
                continue
            if type(message) is Exit and message.pid is None:
                raise ProcessExit(message.reason)  # the node's order, or the test's; as a server takes it
            if token is not None:
                self._keep(process, self._holds and kind != CALL, token)
            process.handling = None
            self._waiting.append(envelope)
            self._news.set()

    @staticmethod
    def _keep(process: Process, holds: bool, token: Token) -> None:
        """Hold a supervised send's token until somebody settles it; or tell its sender at once.

        A caller that is told so waits on for its reply, if it still waits.
        """
        if not holds:
            token.processed()
            return
        defer(process, token, handled=True)

    def __repr__(self) -> str:
        return f"Probe {self.pid!r}"
