# SPDX-License-Identifier: MIT
"""How each library does the four jobs; each file runs by itself in a virtual environment with that library."""
