# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from stanchion.delivery import send_supervised
from tests.kernel.helpers import quick_node


async def test_sends_that_are_not_confirmed_are_logged_ten_times_and_then_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with quick_node():
        for number in range(25):
            await send_supervised("nobody", number, retries=0)
    lines = [record.getMessage() for record in caplog.records if record.name == "stanchion.delivery"]
    assert len(lines) == 11
    assert lines[0].endswith(" was not confirmed: 0")
    assert lines[-1] == "15 more messages were not confirmed within 10 s"
