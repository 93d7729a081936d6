# SPDX-License-Identifier: MIT
"""What type checkers make of the test kit. Checked, never run."""

from __future__ import annotations

from typing import assert_type

import stanchion as st
from stanchion.testing import Probe, assert_down, run_isolated, start_supervised


class Receipt(st.Message, type="tests.typing.receipt"):
    customer: str


def is_ada(message: Receipt) -> bool:
    return message.customer == "ada"


async def a_message_has_the_type_that_was_expected(probe: Probe, receipt: Receipt) -> None:
    assert_type(await probe.expect(Receipt), Receipt)
    assert_type(await probe.expect(receipt), Receipt)
    assert_type(await probe.expect(is_ada), object)
    assert_type(await probe.expect(), object)


async def a_probe_runs_what_a_process_can(probe: Probe) -> None:
    assert_type(probe.run(st.monitor, "counter", tag="mine"), st.MonitorRef)


async def the_ends_of_processes_have_reasons() -> None:
    pid = await start_supervised(st.GenServer)
    assert_type(pid, st.Pid)
    assert_type(await assert_down(pid, ValueError), st.ExitReason)


async def number() -> int:
    return 3


assert_type(run_isolated(number, seed=7), int)
