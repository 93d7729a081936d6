# SPDX-License-Identifier: MIT
"""The kinds of databases."""
