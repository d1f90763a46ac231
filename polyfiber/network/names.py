"""Names from files, fit to be shown."""

from __future__ import annotations


def printable(text: str, limit: int = 200) -> str:
    """A name from a file, fit to be shown: control characters escaped, the middle left out if long."""
    if len(text) > limit:
        text = f"{text[: limit // 2]} … {text[-limit // 3 :]}"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
