"""Ed25519 signatures and AES-GCM; the one module of the product, but the verifier, that imports `cryptography`."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


_NONCE_BYTES = 12


def new_seed() -> bytes:
    """Return a new private key, 32 bytes."""
    return secrets.token_bytes(32)


def public_key(seed: bytes) -> bytes:
    """Return the public key of a private one, 32 bytes."""
    return _private(seed).public_key().public_bytes_raw()


def sign(seed: bytes, message: bytes) -> bytes:
    """Return the signature of a message, 64 bytes."""
    return _private(seed).sign(message)


def seal(key: bytes, plain: bytes, *, bound: bytes) -> bytes:
    """Encrypt with AES-256-GCM: the nonce, then what was encrypted with its tag.

    Args:
        key: 32 bytes.
        plain: To be encrypted.
        bound: What it belongs to; it can be read with that alone.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound)


def unseal(key: bytes, sealed: bytes, *, bound: bytes) -> bytes | None:
    """Return what was sealed, None when the key, what it is bound to, or a byte of it is another."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
    except (InvalidTag, ValueError):
        return None


def _private(seed: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed)
