"""Names from files, fit to be shown."""

from __future__ import annotations

from typing import Any

from ..errors import FileFormatError

HEADS = ("sigmoid", "softmax", "log-softmax", "argmax")
"""What outputs of networks may be the logits of."""


def known_head(value: Any) -> str | None:
    """The head that a file states, None where it states none."""
    if value in (None, ""):
        return None
    if value not in HEADS:
        raise FileFormatError(f"the file states the head {printable(repr(value))}; known are {', '.join(HEADS)}")
    return str(value)


def printable(text: str, limit: int = 200) -> str:
    """A name from a file, fit to be shown: control characters escaped, the middle left out if long."""
    if len(text) > limit:
        text = f"{text[: limit // 2]} … {text[-limit // 3 :]}"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
