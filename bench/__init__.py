# SPDX-License-Identifier: MIT
"""Benchmarks: each budget beside its floor, measured in turns in one run. ``python -m bench`` prints the table.

``_budgets.py`` says what is to be reached, ``_floors.py`` what it is compared with, one file per subject measures it
(``casts.py``, ``calls.py``, …), ``_subjects.py`` lists them, ``_runner.py`` runs them and ``_table.py`` prints.
"""
