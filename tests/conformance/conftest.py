# SPDX-License-Identifier: MIT
"""What tests here need from outside: Erlang/OTP and Elixir."""

from __future__ import annotations

import os

import pytest

from tests.conformance import on_otp


@pytest.fixture(scope="session")
def require_otp() -> None:
    """Skip the test where Erlang/OTP and Elixir are missing, or fail it where ``STANCHION_REQUIRE_SERVICES=1``."""
    missing = on_otp.missing()
    if missing is None:
        return
    if os.environ.get("STANCHION_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{missing}, and STANCHION_REQUIRE_SERVICES=1", pytrace=False)
    pytest.skip(missing)
