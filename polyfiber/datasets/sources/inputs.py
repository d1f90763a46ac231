"""Files that a spec names: in its own folder, or the copies that a dataset holds; never anywhere else."""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from ...errors import InputError
from ...words import one_line
from .. import fields
from ..storage.places import Place, place_of

COPIES = "sources"
"""Folder of a dataset that holds copies of its input files, by their checksums."""

_seen: dict[tuple[str, int, int, int], str] = {}


def checksum(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal; read again only when its size or time has changed."""
    facts = os.stat(path)
    key = (os.fspath(path), facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size)
    if key not in _seen:
        digest = hashlib.sha256()
        with open(path, "rb") as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
        _seen[key] = digest.hexdigest()
    return _seen[key]


def copy_name(name: str, digest: str) -> str:
    """Where a dataset keeps the copy of a file: readers go by the suffix."""
    suffix = os.path.splitext(name)[1]
    return f"{COPIES}/{digest}{suffix if suffix[1:].isalnum() and len(suffix) < 16 else ''}"


class ChangedError(InputError):
    """A file is gone or is not the one that was planned with: no network of it may be recorded as failed for that."""


class Inputs:
    """Where the files of a spec are.

    Parameters
    ----------
    place : path, address or Place
        The folder of the spec, or the dataset.
    copied : bool
        Whether it is a dataset: files are then found by their checksums.
    """

    __repr__ = one_line

    def __init__(self, place: str | Path | Place, *, copied: bool = False) -> None:
        self.place = place_of(place, inner_links=not copied)
        self.copied = copied

    def __str__(self) -> str:
        return str(self.place)

    def path(self, name: str, expected: str) -> Path:
        """A file on this machine, with the checksum that was planned with.

        Raises
        ------
        InputError
            It is gone, or has changed.
        """
        stored = copy_name(name, expected) if self.copied else name
        if self.place.facts(stored) is None:
            hint = "run the dataset again with its spec" if self.copied else "it was there when the plan was made"
            raise ChangedError(f"{self.place}/{stored} is gone; {hint}")
        path = self.place.local(stored)
        if checksum(path) != expected:
            raise ChangedError(
                f"{self.place}/{stored} has changed since the plan was made; plan again in another directory"
            )
        return path

    def local(self, name: str, key: str) -> Path:
        """A file by its name; ``key`` names the entry of the spec in errors."""
        try:
            found = self.place.facts(name)
        except InputError as error:
            raise InputError(f"{key}: {error}", key=key) from None
        if found is None:
            raise fields.wrong(key, name, f"a file in {self.place}")
        return self.place.local(name)

    def find(self, pattern: str, key: str) -> list[str]:
        """Files of the folder that match a pattern (``*``, ``?``, ``[…]`` within a name, ``**`` for any folders),
        sorted.
        """
        parts = pattern.split("/")
        if len(pattern) > 4096 or pattern.startswith("/") or ".." in parts or "\0" in pattern:
            raise fields.wrong(
                key, pattern, f"a file or pattern inside {self.place}, where relative paths start; copy the files there"
            )
        fixed = []
        for part in parts[:-1]:
            if any(c in part for c in "*?["):
                break
            fixed.append(part)
        if not any(c in pattern for c in "*?["):
            self.local(pattern, key)
            return [pattern]
        folder = "/".join(p for p in fixed if p != ".")
        wanted = [p for p in parts if p != "."]
        found = sorted(name for name in self.place.walk(folder) if _matches(name.split("/"), wanted))
        found = [f for f in found if not any(p.startswith(".") for p in f.split("/"))]
        if not found:
            raise fields.wrong(key, pattern, f"a file, or a pattern that matches files, in {self.place}")
        return found


def _matches(name: list[str], pattern: list[str]) -> bool:
    """Whether parts match parts of a pattern; time is at most the product of their numbers."""
    open_ = {0}
    for step in [*name, None]:
        for i in sorted(open_):  # ** may stand for no folder at all
            while i < len(pattern) and pattern[i] == "**":
                i += 1
                open_.add(i)
        if step is None:
            break
        open_ = {
            i if pattern[i] == "**" else i + 1
            for i in open_
            if i < len(pattern) and (pattern[i] == "**" or _rule(pattern[i])(step))
        }
    return len(pattern) in open_


@functools.lru_cache(maxsize=256)
def _rule(part: str) -> Callable[[str], object]:
    return re.compile(fnmatch.translate(part)).match


__all__ = ["COPIES", "ChangedError", "Inputs", "checksum", "copy_name"]
