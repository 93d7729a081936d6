# SPDX-License-Identifier: MIT
"""The command: ``python -m examples.relay --config relay.toml [--events FILE|-]``."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from pathlib import Path

import stanchion as st
from examples.relay.config import load
from examples.relay.feed import Feed
from examples.relay.relay import Relay
from examples.relay.toml_table import ConfigError


def main() -> int:
    """Run the relay until SIGINT or SIGTERM, or, with ``--events``, until all events are seen to."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=arguments.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells each step of opening the dead letters
    try:
        relay = Relay(load(arguments.config, os.environ))
        return _serve(relay) if arguments.events is None else _feed(relay, arguments.events)
    except ConfigError as error:
        print(f"{arguments.config}: {error}", file=sys.stderr)
        return 2
    except st.StanchionError as error:
        print(error, file=sys.stderr)
        return 1


def _serve(relay: Relay) -> int:
    try:
        listener = socket.create_server((relay.config.host, relay.config.port), reuse_port=False)
    except OSError as error:
        print(f"relay.listen: {relay.config.host}:{relay.config.port}: {error.strerror}", file=sys.stderr)
        return 1
    with listener:
        host, port = listener.getsockname()[:2]
        print(f"relay: listening on http://{host}:{port}", flush=True)
        st.run(relay.application(relay.ingress(listener)), node=relay.node)
    return 0


def _feed(relay: Relay, path: str) -> int:
    feed = Feed(relay, path)
    try:
        # Temporary: after a crash it could not know where it was.
        st.run(relay.application(st.child_spec(feed.run, id="feed", restart="temporary")), node=relay.node)
    finally:
        print(f"relay: {feed.accepted} events accepted, {feed.malformed} lines skipped")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m examples.relay", description="Accept webhooks and deliver them.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration, TOML")
    parser.add_argument(
        "--events", metavar="FILE", help='read events from a JSONL file ("-": standard input) and exit when done'
    )
    parser.add_argument(
        "--log-level", default="info", choices=["debug", "info", "warning", "error"], help="default: info"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
