"""Ed25519 signatures; the one module of the product that imports `cryptography`."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def new_seed() -> bytes:
    """Return a new private key, 32 bytes."""
    return secrets.token_bytes(32)


def public_key(seed: bytes) -> bytes:
    """Return the public key of a private one, 32 bytes."""
    return _private(seed).public_key().public_bytes_raw()


def sign(seed: bytes, message: bytes) -> bytes:
    """Return the signature of a message, 64 bytes."""
    return _private(seed).sign(message)


def _private(seed: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed)
