# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from stanchion.errors import ChildStartError
from stanchion.server import start
from tests.kernel.helpers import quick_node
from tests.server.servers import By, raises


async def test_error_of_a_child_is_not_wrapped_in_one_of_its_supervisor() -> None:
    async with quick_node():
        error = ChildStartError("clerk", supervisor="shop", reason="normal")
        with pytest.raises(ChildStartError) as caught:
            await start(By, raises(error))
        assert caught.value is error
