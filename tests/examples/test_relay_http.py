# SPDX-License-Identifier: MIT
"""Every answer of the relay's HTTP server, over a real connection."""

from __future__ import annotations

import asyncio

import pytest

import stanchion as st
from examples.relay.signature import sign
from stanchion.kernel import ExitReason
from stanchion.supervisor import terminate_child
from tests.examples.relay_kit import SECRET, Client, Endpoint, make_relay, running, serving, subscriber


async def refused(body: bytes = b"{}", path: str = "/hooks/github", **headers: str | None) -> tuple[int, str]:
    """Send one request to a relay; return its status and the error that it tells."""
    async with running(make_relay(subscriber("audit"), max_body=100)) as client:
        status, answer = await client.post(body, path, **headers)
        assert set(answer) == {"error"}
        return status, str(answer["error"])


async def test_relay_accepts_a_signed_webhook_and_tells_its_id() -> None:
    endpoint = Endpoint()
    async with serving(endpoint):
        relay = make_relay(subscriber("audit", url=endpoint.url))
        async with running(relay) as client:
            answer = await client.post(b'{"action": "opened"}', X_GitHub_Event="issues", X_GitHub_Delivery="id-1")
            await relay.wait_settled()
    assert answer == (202, {"id": "id-1", "event": "issues.opened", "subscribers": 1})
    assert endpoint.requests == [("id-1", b'{"action": "opened"}')]


async def test_relay_accepts_an_event_that_nobody_wants() -> None:
    async with running(make_relay(subscriber("audit", "issues"))) as client:
        status, answer = await client.post(b"{}")
    assert (status, answer["subscribers"]) == (202, 0)


async def test_relay_makes_an_id_when_the_source_gives_none() -> None:
    async with running(make_relay(subscriber("audit", "issues"))) as client:
        (_, first), (_, second) = await client.post(), await client.post()
    assert isinstance(first["id"], str)
    assert len(first["id"]) == 32
    assert first["id"] != second["id"]


async def test_relay_answers_401_when_the_signature_is_missing() -> None:
    assert await refused(X_Hub_Signature_256=None) == (401, "expected the header X-Hub-Signature-256, got none")


@pytest.mark.parametrize("signature", ["sha256=" + "0" * 64, "sha1=abc", "", "é"])
async def test_relay_answers_401_when_the_signature_is_wrong(signature: str) -> None:
    assert await refused(X_Hub_Signature_256=signature) == (
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
async def test_relay_answers_400_when_the_body_is_no_json_object(body: bytes, error: str) -> None:
    status, told = await refused(body)
    assert status == 400
    assert told.startswith(error)


async def test_relay_answers_400_when_the_event_is_missing_or_no_name() -> None:
    assert await refused(X_GitHub_Event=None) == (400, "expected the header X-GitHub-Event, got none")
    assert await refused(X_GitHub_Event="a.b") == (
        400,
        "X-GitHub-Event: expected letters, digits, - and _, got 'a.b'",
    )


async def test_relay_answers_400_when_the_id_is_not_printable() -> None:
    assert await refused(X_GitHub_Delivery="two words") == (
        400,
        "X-GitHub-Delivery: expected up to 200 visible ASCII characters, got 'two words'",
    )


async def test_relay_answers_413_when_the_body_is_too_big() -> None:
    assert await refused(b"x" * 101) == (413, "expected a body of at most 100 bytes, got 101")


async def test_relay_answers_413_when_the_body_is_too_big_and_does_not_say_so() -> None:
    async def chunks():
        for _ in range(3):
            yield b"x" * 50

    async with (
        running(make_relay(subscriber("audit"), max_body=100)) as client,
        client.session.post("/hooks/github", data=chunks()) as response,
    ):
        assert response.status == 413
        assert await response.json() == {"error": "expected a body of at most 100 bytes, got more"}


async def test_relay_answers_404_when_the_source_or_the_path_is_unknown() -> None:
    assert await refused(path="/hooks/nobody") == (404, "no source is called 'nobody'")
    assert await refused(path="/elsewhere") == (404, "expected /hooks/{source} or /health")


async def test_relay_answers_405_when_the_method_is_wrong() -> None:
    async with (
        running(make_relay(subscriber("audit"))) as client,
        client.session.get("/hooks/github") as response,
    ):
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert await response.json() == {"error": "expected POST, got GET"}


async def test_relay_answers_408_when_the_body_does_not_come() -> None:
    async with running(make_relay(subscriber("audit"), read_timeout=0.1)) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"POST /hooks/github HTTP/1.1\r\nHost: relay\r\nContent-Length: 2\r\n\r\n{")
        answer = await reader.readuntil(b"}")
        writer.write(b"}")  # aiohttp waits for the rest, for a while
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert answer.endswith(b'{"error": "expected the body within 0.1 s"}')


async def test_relay_answers_503_when_more_requests_come_at_once_than_it_takes() -> None:
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


async def test_relay_answers_503_and_when_to_come_again_when_an_outbox_is_gone() -> None:
    headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": sign(SECRET, b"{}")}
    async with running(make_relay(subscriber("audit"), subscriber("chat", "issues"))) as client:
        await terminate_child("audit.lane", "audit.outbox")
        async with client.session.post("/hooks/github", data=b"{}", headers=headers) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert await response.json() == {"error": "not accepted, send it again: audit.outbox: noproc"}


async def test_relay_tells_its_health() -> None:
    async with (
        running(make_relay(subscriber("audit"), subscriber("chat"))) as client,
        client.session.get("/health") as response,
    ):
        assert await response.json() == {
            "status": "ok",
            "backlog": {"audit": 0, "chat": 0},
            "dead_letters": {"waiting": 0, "exhausted": 0},
        }


@pytest.mark.parametrize("reason", ["kill", ValueError("a bug")])
async def test_relay_goes_on_at_the_same_port_when_its_ingress_crashed(reason: ExitReason) -> None:
    async with running(make_relay(subscriber("audit", "issues"))) as client:
        for _ in range(3):
            ingress = st.whereis("ingress")
            assert ingress is not None
            st.exit(ingress, reason)
            await st.wait_exit(ingress, timeout=5)
            assert await client.post_until_answered() == 202
