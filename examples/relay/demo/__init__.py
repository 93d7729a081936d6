# SPDX-License-Identifier: MIT
"""The relay at work, and at its worst: ``python -m examples.relay.demo``.

    scenario.py      what happens when
    cast.py          the subscribers, and the configuration of the relay
    relay_process.py the relay, an OS process of its own, which crashes its processes when told to
    remote_relay.py  starts, asks, kills and stops it
    endpoint.py      a subscriber's HTTP server, an OS process of its own: healthy, flaky, or down for a while
    endpoints.py     starts these, and asks them what really arrived
    source.py        sends signed webhooks over HTTP, and some that must be refused
    chaos.py         crashes and kills processes of the relay
    by_hand.py       replays the dead letters that wait for a person
    tally.py         counts what the relay's telemetry tells
    progress.py      shows it while it runs
    account.py       compares what was accepted with what arrived and what rests in the dead letters
    table.py         prints the result

Its exit status is 0 only if nothing was lost and everything is accounted for.
"""
