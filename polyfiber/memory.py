"""How much memory there is: that of the machine, of the container (cgroup), and of the process (ulimit)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import time
from functools import lru_cache
from pathlib import Path

from .errors import InputError

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
FRESH = 0.05
"""Seconds for which an answer of `available_memory` is used again; asking takes a tenth of a millisecond."""


def parse_bytes(text: str | int | float) -> int:
    """Bytes from a number or from a text such as ``"800 MB"`` or ``"2GiB"``.

    Examples
    --------
    >>> from polyfiber.memory import parse_bytes
    >>> parse_bytes("2 GiB")
    2147483648
    """
    if isinstance(text, int | float):
        value = float(text)
    else:
        if not isinstance(text, str):
            raise InputError(
                f"an amount of memory is a number of bytes or a text such as 2GiB, found a {type(text).__name__}"
            )
        match = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)\s*", text)
        if match is None or match.group(2).lower() not in _UNITS:
            raise InputError(f"cannot read {text!r} as an amount of memory; expected for instance 800MB or 2GiB")
        try:
            value = float(match.group(1)) * _UNITS[match.group(2).lower()]
        except ValueError:
            raise InputError(f"cannot read {text!r} as an amount of memory; expected for instance 800MB") from None
    if not 0 < value < float("inf"):
        raise InputError(f"an amount of memory must be positive and finite, found {text!r}")
    return int(value)


_last: tuple[float, int | None] = (-1.0, None)


def available_memory() -> int | None:
    """Bytes that this process can still take without swapping or being refused; None where the system does not tell.

    The least of what the machine has free, what is left to every control group that this process is in (cgroup v1 and
    v2: what containers and schedulers set), and what the process's own limits leave (``ulimit -v``, ``ulimit -d``).
    """
    global _last
    now = time.monotonic()
    when, value = _last
    if not 0 <= now - when < FRESH:
        known = [free for free in (machine_memory(), group_memory(), process_memory()) if free is not None]
        value = max(0, min(known)) if known else None
        _last = (now, value)
    return value


def machine_memory(proc: Path = Path("/proc")) -> int | None:
    """Bytes that the machine has free without swapping."""
    try:
        with open(proc / "meminfo", encoding="ascii") as stream:
            for line in stream:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def group_memory(proc: Path = Path("/proc"), root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that are left to the control groups of this process, the tightest of them; None without a limit."""
    left = []
    for limit_file, used_file, cache_file, cache_name in _groups(proc, root):
        limit = _number(limit_file)
        if limit is None or limit >= 1 << 60:  # v1 says "no limit" by a very large number
            continue
        used = _number(used_file)
        if used is not None:
            left.append(limit - used + min(used, _cached(cache_file, cache_name)))
    return min(left, default=None)


@lru_cache(maxsize=4)
def _groups(proc: Path, root: Path) -> tuple[tuple[str, str, str, str], ...]:
    """Of each group with a memory controller: files of limit, use and statistics, and the name of the cache in the
    last.
    """
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ()
    found = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            names, base = ("memory.max", "memory.current", "inactive_file"), root
        elif "memory" in controllers.split(","):
            names, base = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"), root / "memory"
        else:
            continue
        here = base / path.lstrip("/")
        # inside a container the path may be that of the host: then the mount itself is the group
        for folder in (here, *here.parents):
            if (folder / names[0]).is_file():
                found.append((str(folder / names[0]), str(folder / names[1]), str(folder / "memory.stat"), names[2]))
            if folder == base:
                break
    return tuple(found)


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as stream:
            return int(stream.read())
    except (OSError, ValueError):  # not there, or "max"
        return None


def _cached(path: str, name: str) -> int:
    """Bytes of files that the kernel gives back when memory is short."""
    try:
        with open(path, encoding="ascii") as stream:
            return next((int(line.split()[1]) for line in stream if line.startswith(name + " ")), 0)
    except (OSError, ValueError, IndexError):
        return 0


def process_memory() -> int | None:
    """Bytes that the limits of the process on address space and data leave; None without such a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limits = [
        (resource.getrlimit(kind)[0], column) for kind, column in ((resource.RLIMIT_AS, 0), (resource.RLIMIT_DATA, 5))
    ]
    limits = [(limit, column) for limit, column in limits if limit != resource.RLIM_INFINITY]
    if not limits:
        return None
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            pages = [int(word) for word in stream.read().split()]
    except (OSError, ValueError):
        pages = [0] * 7
    size = resource.getpagesize()
    return min(limit - pages[column] * size for limit, column in limits)


__all__ = ["available_memory", "group_memory", "machine_memory", "parse_bytes", "process_memory"]


def give_back() -> None:
    """Hand memory that was freed back to the system, where the allocator can be asked to (glibc).

    Large arrays are freed at once, but what is freed in small pieces stays with the process until something
    asks for it; a worker would seem to grow from network to network.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
