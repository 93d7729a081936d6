# SPDX-License-Identifier: MIT
"""A webhook relay that one could deploy: webhooks come in, are routed by event type, and reach subscriber URLs.

The way of an event, from top to bottom:

    config.py        relay.toml: sources, subscribers, limits
    ingress.py       owns the HTTP server;  hooks.py answers its requests;  signature.py checks them
    feed.py          the other way in: a JSONL file or standard input
    event.py         what an event is, and what of it is stored
    routing.py       which subscribers want it
    acceptance.py    stores it in the outbox, once for each of them: this is what a 202 means
    subscriber.py    gets it from there, and POSTs one event at a time to its URL;  http_client.py has the connections
    relay.py         the supervision tree of all that

Run it with ``python -m examples.relay --config relay.toml``, and see it at work with ``python -m examples.relay.demo``.
"""
