# SPDX-License-Identifier: MIT
"""Programs built on Stanchion, by its public names only."""
