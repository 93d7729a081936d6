# SPDX-License-Identifier: MIT
"""Signatures: ``sha256=`` and the HMAC of the body, as GitHub's ``X-Hub-Signature-256``."""

from __future__ import annotations

import hashlib
import hmac


def sign(secret: bytes, body: bytes) -> str:
    """Return the signature of a body."""
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def is_signed(secret: bytes, body: bytes, signature: str) -> bool:
    """Return whether the signature is right, in a time that does not tell how much of it is."""
    return hmac.compare_digest(sign(secret, body).encode(), signature.encode("utf-8", "surrogateescape"))
