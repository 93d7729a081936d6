# SPDX-License-Identifier: MIT
"""Peers: the same four jobs on other actor libraries, on ours, and on plain asyncio. ``python -m bench.peers``.

Each library is installed into a virtual environment of its own, and each measurement runs in a fresh process, all
subjects in turns. One file of ``jobs/`` says how one library does the jobs.
"""
