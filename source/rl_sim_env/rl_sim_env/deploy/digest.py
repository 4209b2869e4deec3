"""A digest in an ONNX file: onnxruntime runs damaged weights without a word."""

from __future__ import annotations

import hashlib

DIGEST_KEY = "rl_sim_env_sha256"
"""Key of the last of the ONNX file's properties: the SHA-256 of all before it."""

_LENGTH = 2 * hashlib.sha256().digest_size
_METADATA_PROPS, _KEY, _VALUE = 0x72, 0x0A, 0x12
"""Protobuf's tags of ``ModelProto.metadata_props`` and of the two fields of an entry in it."""

_ENTRY = bytes((_METADATA_PROPS, len(DIGEST_KEY) + _LENGTH + 4, _KEY, len(DIGEST_KEY)))
_ENTRY += DIGEST_KEY.encode() + bytes((_VALUE, _LENGTH))
"""The entry as far as its value."""


def with_digest(model: bytes) -> bytes:
    """Add a model's digest to it: what protobuf finds behind a message belongs to the message.

    Args:
        model: Content of an ONNX file.
    """
    return model + _ENTRY + _digest(model)


def is_damaged(model: bytes) -> bool:
    """Whether the content of an ONNX file is not what its digest says; False where it has none."""
    before, entry, digest = (
        model[: -len(_ENTRY) - _LENGTH],
        model[-len(_ENTRY) - _LENGTH : -_LENGTH],
        model[-_LENGTH:],
    )
    return entry == _ENTRY and _digest(before) != digest


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
