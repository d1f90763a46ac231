"""JSON and TOML of others: bounded size, one clear error for whatever is wrong with them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from ...errors import FileFormatError

LARGEST = 1 << 29
"""Bytes of a plan, a manifest or a list of checksums."""

LARGEST_SPEC = 1 << 20
"""Bytes of a spec."""

_PART = r"(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')"
_CHAIN = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{33}}")


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys and a last newline."""
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parse_json(data: bytes, where: object, what: str) -> dict[str, Any]:
    """An object, or one clear error; memory is at most about thirty times the size of the text."""
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise FileFormatError(f"{where}: {what} is not JSON: {reason(error)}") from None
    if not isinstance(found, dict):
        raise FileFormatError(f"{where}: {what} is a {type(found).__name__}; expected an object")
    return found


def parse_toml(data: bytes, where: object) -> dict[str, Any]:
    """A TOML document, or one clear error."""
    try:
        text = data.decode("utf-8")
        if _CHAIN.search(text):  # the parser's time grows with the square of their number
            raise FileFormatError(f"{where}: not a TOML file of ours: a key with more than 32 dots")
        return tomllib.loads(text)
    except (ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{where}: not a TOML file: {reason(error)}") from None


def reason(error: BaseException) -> str:
    """One short line."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:300] + " …"
