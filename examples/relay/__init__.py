# SPDX-License-Identifier: MIT
"""A webhook relay that one could deploy: webhooks come in, are routed by event type, and reach subscriber URLs.

The way of an event, from top to bottom:

    config.py        relay.toml: sources, subscribers, limits
    ingress.py       owns the HTTP server;  hooks.py answers its requests;  signature.py checks them
    feed.py          the other way in: a JSONL file or standard input
    event.py         what an event is, and what of it is stored
    acceptance.py    publishes it, which commits it to the router's journal: this is what a 202 means
    routing.py       what events are called, and the patterns by which subscribers want them
    routes.py        subscribes them by these, durably
    subscriber.py    gets it from the router, and POSTs one event at a time to its URL;  http_client.py has the connections
    nightly.py       sends dead letters again that wait for a person, by a persistent schedule
    relay.py         the supervision tree of all that

Run it with ``python -m examples.relay --config relay.toml``, and see it at work with ``python -m examples.relay.demo``.
"""
