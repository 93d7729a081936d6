# SPDX-License-Identifier: MIT
"""Every answer of the relay's HTTP server, over a real connection."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import stanchion as st
from examples.relay.signature import sign
from stanchion.kernel import ExitReason
from tests.examples.relay_kit import SECRET, Client, Endpoint, MakeRelay, running, serving, subscriber, wait_settled


async def refused(
    make_relay: MakeRelay, body: bytes = b"{}", path: str = "/hooks/github", **headers: str | None
) -> tuple[int, str]:
    """Send one request to a relay; return its status and the error that it tells."""
    async with running(make_relay(subscriber("audit"), max_body=100)) as client:
        status, answer = await client.post(body, path, **headers)
        assert set(answer) == {"error"}
        return status, str(answer["error"])


async def test_relay_accepts_a_signed_webhook_and_tells_its_id(make_relay: MakeRelay) -> None:
    endpoint = Endpoint()
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url))
        async with running(relay) as client:
            answer = await client.post(b'{"action": "opened"}', X_GitHub_Event="issues", X_GitHub_Delivery="id-1")
            await wait_settled(relay)
    assert answer == (202, {"id": "id-1", "event": "issues.opened", "subscribers": 1})
    assert endpoint.requests == [("id-1", b'{"action": "opened"}')]


async def test_relay_accepts_an_event_that_nobody_wants(make_relay: MakeRelay) -> None:
    async with running(make_relay(subscriber("audit", "issues"))) as client:
        status, answer = await client.post(b"{}")
    assert (status, answer["subscribers"]) == (202, 0)


async def test_relay_makes_an_id_when_the_source_gives_none(make_relay: MakeRelay) -> None:
    async with running(make_relay(subscriber("audit", "issues"))) as client:
        (_, first), (_, second) = await client.post(), await client.post()
    assert isinstance(first["id"], str)
    assert len(first["id"]) == 32
    assert first["id"] != second["id"]


async def test_relay_answers_401_when_the_signature_is_missing(make_relay: MakeRelay) -> None:
    assert await refused(make_relay, X_Hub_Signature_256=None) == (
        401,
        "expected the header X-Hub-Signature-256, got none",
    )


@pytest.mark.parametrize("signature", ["sha256=" + "0" * 64, "sha1=abc", "", "é"])
async def test_relay_answers_401_when_the_signature_is_wrong(make_relay: MakeRelay, signature: str) -> None:
    assert await refused(make_relay, X_Hub_Signature_256=signature) == (
        401,
        "X-Hub-Signature-256 does not fit the body and the secret of 'github'",
    )


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"a": ', "expected a JSON body: Input data was truncated"),
        (b"", "expected a JSON body: Input data was truncated"),
        (b"[1]", "expected a JSON object, got a JSON list"),
        (b'{"a": "\xff"}', "expected a JSON body: "),
    ],
)
async def test_relay_answers_400_when_the_body_is_no_json_object(
    make_relay: MakeRelay, body: bytes, error: str
) -> None:
    status, told = await refused(make_relay, body)
    assert status == 400
    assert told.startswith(error)


async def test_relay_answers_400_when_the_event_is_missing_or_no_name(make_relay: MakeRelay) -> None:
    assert await refused(make_relay, X_GitHub_Event=None) == (400, "expected the header X-GitHub-Event, got none")
    assert await refused(make_relay, X_GitHub_Event="a.b") == (
        400,
        "X-GitHub-Event: expected letters, digits, - and _, got 'a.b'",
    )


async def test_relay_answers_400_when_the_id_is_not_printable(make_relay: MakeRelay) -> None:
    assert await refused(make_relay, X_GitHub_Delivery="two words") == (
        400,
        "X-GitHub-Delivery: expected up to 200 visible ASCII characters, got 'two words'",
    )


async def test_relay_answers_413_when_the_body_is_too_big(make_relay: MakeRelay) -> None:
    assert await refused(make_relay, b"x" * 101) == (413, "expected a body of at most 100 bytes, got 101")


async def test_relay_answers_413_when_the_body_is_too_big_and_does_not_say_so(make_relay: MakeRelay) -> None:
    async def chunks():
        for _ in range(3):
            yield b"x" * 50

    async with (
        running(make_relay(subscriber("audit"), max_body=100)) as client,
        client.session.post("/hooks/github", data=chunks()) as response,
    ):
        assert response.status == 413
        assert await response.json() == {"error": "expected a body of at most 100 bytes, got more"}


async def test_relay_answers_404_when_the_source_or_the_path_is_unknown(make_relay: MakeRelay) -> None:
    assert await refused(make_relay, path="/hooks/nobody") == (404, "no source is called 'nobody'")
    assert await refused(make_relay, path="/elsewhere") == (404, "expected /hooks/{source} or /health")


async def test_relay_answers_405_when_the_method_is_wrong(make_relay: MakeRelay) -> None:
    async with (
        running(make_relay(subscriber("audit"))) as client,
        client.session.get("/hooks/github") as response,
    ):
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert await response.json() == {"error": "expected POST, got GET"}


async def test_relay_answers_408_when_the_body_does_not_come(make_relay: MakeRelay) -> None:
    async with running(make_relay(subscriber("audit"), read_timeout=0.1)) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"POST /hooks/github HTTP/1.1\r\nHost: relay\r\nContent-Length: 2\r\n\r\n{")
        answer = await reader.readuntil(b"}")
        writer.write(b"}")  # aiohttp waits for the rest, for a while
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert answer.endswith(b'{"error": "expected the body within 0.1 s"}')


async def test_relay_answers_503_when_more_requests_come_at_once_than_it_takes(make_relay: MakeRelay) -> None:
    async with running(make_relay(subscriber("audit", "issues"), max_requests=1)) as client:
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"POST /hooks/github HTTP/1.1\r\nHost: relay\r\nContent-Length: 2\r\n\r\n{")
        status, answer = await until_refused(client)
        writer.close()
        await writer.wait_closed()
    assert (status, answer) == (503, {"error": "expected at most 1 requests at once, got more; send it again"})


async def until_refused(client: Client) -> tuple[int, dict[str, object]]:
    # What is written to the other connection need not have been read yet.
    while (answer := await client.post())[0] == 202:
        pass
    return answer


async def test_relay_answers_503_and_when_to_come_again_when_it_cannot_store_the_event(
    make_relay: MakeRelay, tmp_path: Path
) -> None:
    headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": sign(SECRET, b"{}")}
    relay = make_relay(subscriber("audit"), subscriber("chat", "issues.*"))
    async with running(relay) as client:
        await asyncio.to_thread(drop_table, tmp_path / "relay.db", "stanchion_signals")
        async with client.session.post("/hooks/github", data=b"{}", headers=headers) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            error = (await response.json())["error"]
    assert error.startswith("not accepted, send it again: ")
    assert "no such table: stanchion_signals" in error


def drop_table(file: Path, table: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"DROP TABLE {table}")


async def test_relay_answers_503_when_its_router_was_made_to_forget_who_wants_the_event(make_relay: MakeRelay) -> None:
    relay = make_relay(subscriber("audit"))
    async with running(relay) as client:
        await relay.router.forget("audit")
        status, answer = await client.post(X_GitHub_Event="push")
    assert (status, answer) == (503, {"error": "not accepted, send it again: nothing of type push is kept"})


async def test_relay_tells_its_health(make_relay: MakeRelay) -> None:
    async with (
        running(make_relay(subscriber("audit"), subscriber("chat"))) as client,
        client.session.get("/health") as response,
    ):
        assert await response.json() == {
            "status": "ok",
            "waiting": {"audit": 0, "chat": 0},
            "dead_letters": {"waiting": 0, "exhausted": 0},
        }


@pytest.mark.parametrize("reason", ["kill", ValueError("a bug")])
async def test_relay_goes_on_at_the_same_port_when_its_ingress_crashed(
    make_relay: MakeRelay, reason: ExitReason
) -> None:
    async with running(make_relay(subscriber("audit", "issues"))) as client:
        for _ in range(3):
            ingress = st.whereis("ingress")
            assert ingress is not None
            st.exit(ingress, reason)
            await st.wait_exit(ingress, timeout=5)
            assert await client.post_until_answered() == 202
