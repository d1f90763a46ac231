"""Names of files and from files: paths that are none of an address, texts fit to be shown."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, InputError

HEADS = ("sigmoid", "softmax", "log-softmax", "argmax")
"""What outputs of networks may be the logits of."""


def known_head(value: Any) -> str | None:
    """The head that a file states, None where it states none."""
    if value in (None, ""):
        return None
    if value not in HEADS:
        raise FileFormatError(f"the file states the head {printable(repr(value))}; known are {', '.join(HEADS)}")
    return str(value)


def local_path(path: Any, what: str = "a file") -> Path:
    """A path of this machine.

    Raises
    ------
    InputError
        No path; or an address such as ``s3://bucket/x``, which would otherwise name a folder ``s3:`` here.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        raise InputError(f"{what} is named by its path, found {printable(repr(path))}") from None
    text = os.fsdecode(text)
    if "\0" in text:
        raise InputError(f"{what} is named by its path, which holds no NUL, found {printable(repr(text))}")
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text)  # a Path drops one of the slashes
    if found:
        text = re.sub(r"^([^:]+):/(?!/)", r"\1://", text)
        raise InputError(
            f"{printable(text)!r}: {what} lies on this machine, found an address of {found[1]}://; addresses are for datasets "
            "(polyfiber dataset, dedupe, polyfiber.datasets): copy the file from or to there"
        )
    return Path(text)


def printable(text: str, limit: int = 200) -> str:
    """A name from a file, fit to be shown: control characters escaped, the middle left out if long."""
    if len(text) > limit:
        text = f"{text[: limit // 2]} … {text[-limit // 3 :]}"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
