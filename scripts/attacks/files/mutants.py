"""Damaged copies of files, and children with limits that handle them: what the attacks on files share.

`damage` changes bytes; `damaged_text` a number or word; `damaged_zip` and `damaged_arrays` what an archive means, with
right checksums. `isolated` does work in a fork with 4 GB of memory and 20 s of processor time.
"""

from __future__ import annotations

import io
import json
import os
import re
import resource
import select
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

MEMORY, SECONDS, PATIENCE = 4 << 30, 20, 120.0
WORDS = [
    b"0", b"-1", b"1", b"1e999", b"nan", b"NaN", b"999999999999", b"9" * 5000, b"3", b"1.5", b'"x"', b'""', b"", b"null", b"true", b"[]",
    b"{}", b"1,2", b'"../../x"', b"/etc/passwd", b"[" * 5000, b"\x00", b"\xff",
]  # fmt: skip


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, cut, doubled, moved; half of the changes fall on the first or last kilobytes, where headers are."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if not out:
            break
        reach = min(len(out), int(rng.choice([256, 4096, 1 << 30])))
        at = int(rng.integers(0, max(1, reach)))
        if rng.random() < 0.3:
            at = len(out) - 1 - at
        size = int(rng.choice([1, 2, 4, 8, 64, 512]))
        kind = int(rng.integers(8))
        if kind == 0:
            out[at % len(out)] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            out[at : at + size] = rng.bytes(size)
        elif kind == 2:
            del out[at : at + size]
        elif kind == 3:
            out[at:at] = out[at : at + size]
        elif kind == 4:
            other = int(rng.integers(0, len(out)))
            out[at : at + size] = out[other : other + size]
        elif kind == 5:
            out[at : at + size] = bytes([int(rng.choice([0, 255, 127, 128]))]) * size
        elif kind == 6:
            del out[max(1, at) :]
        else:
            value = int(rng.choice([0, 1, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 10**9]))
            out[at : at + 8] = (value & (2**64 - 1)).to_bytes(8, "little")
    return bytes(out)


def damaged_text(data: bytes, rng: np.random.Generator) -> bytes:
    """A number, a word, or a whole value of a text replaced, a line moved or doubled."""
    if rng.random() < 0.2:
        lines = data.splitlines(keepends=True)
        if lines:
            at, to = rng.integers(0, len(lines), size=2)
            line = lines[at] if rng.random() < 0.5 else lines.pop(int(at))
            lines.insert(int(to), line)
            return b"".join(lines)
    if rng.random() < 0.3:  # a whole value
        at = int(rng.integers(0, max(1, len(data))))
        ends = [i for i in range(at, min(len(data), at + 200)) if data[i : i + 1] in (b",", b"\n", b"]", b"}")]
        start = max(data.rfind(c, 0, at) for c in (b":", b"=", b",", b"["))
        if ends and start >= 0:
            return data[: start + 1] + WORDS[int(rng.integers(len(WORDS)))] + data[ends[0] :]
    places = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:e-?\d+)?|\"[\w-]+\"", data))
    if not places:
        return damage(data, rng)
    place = places[int(rng.integers(len(places)))]
    return data[: place.start()] + WORDS[int(rng.integers(len(WORDS)))] + data[place.end() :]


def zip_entries(data: bytes) -> list[tuple[str, bytes]]:
    """Names and contents of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(i.filename, archive.read(i)) for i in archive.infolist()]


def zip_of(entries: list[tuple[str, bytes]]) -> bytes:
    """The archive of names and contents."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in entries:
            archive.writestr(name, body)
    return out.getvalue()


def damaged_zip(data: bytes, rng: np.random.Generator) -> bytes:
    """One entry of an archive damaged, so that the checksums are right again."""
    try:
        entries = zip_entries(data)
    except Exception:
        return damage(data, rng)
    k = int(rng.integers(len(entries)))
    name, body = entries[k]
    if rng.random() < 0.15:
        entries[k] = (name, entries[int(rng.integers(len(entries)))][1])
    elif rng.random() < 0.1:
        entries.pop(k)
    else:
        entries[k] = (name, damaged_text(body, rng) if name.endswith(".json") else damage(body, rng))
    return zip_of(entries)


def damaged_array(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An array of another shape, type or with other entries."""
    kind = int(rng.integers(8))
    if kind == 0 and array.ndim and len(array):
        return array[: int(rng.integers(len(array)))]
    if kind == 1 and array.ndim and len(array):
        return np.concatenate([array, array[-1:]])
    if kind == 2:
        return array.reshape(-1) if array.ndim != 1 else array[None]
    if kind == 3 and array.dtype.kind in "fiub":
        with np.errstate(all="ignore"):
            return array.astype(
                str(rng.choice(["float64", "float32", "int64", "int32", "int8", "uint8", "complex128", "U3"]))
            )
    if kind == 4 and array.ndim and len(array):
        return array[rng.permutation(len(array))]
    if array.size and array.dtype.kind in "fiu":
        new = array.copy()
        at = tuple(int(rng.integers(s)) for s in array.shape)
        if array.dtype.kind == "f":
            new[at] = rng.choice([0.0, -1.0, np.nan, np.inf, 1e308, 5e-324, float(new[at]) + 1])
        else:
            info = np.iinfo(array.dtype)
            new[at] = (0, 1, int(info.max), int(info.min), int(new[at]) ^ 1)[int(rng.integers(5))]
        return new
    if array.size and array.dtype.kind == "U" and not array.ndim:
        return np.array(damaged_text(str(array).encode(), rng).decode("utf-8", "replace"))
    return np.zeros((0, *array.shape[1:]), dtype=array.dtype) if array.ndim else np.zeros(3)


def isolated(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of a fork with limits, with the seconds and bytes it took; its key ``kind`` begins with WRONG where a limit ended it."""
    sys.stdout.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        used = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, used + SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            answer = work()
        except MemoryError:
            answer = {"kind": "WRONG: out of memory"}
        except BaseException as error:
            answer = {"kind": f"WRONG: the attack itself: {type(error).__name__}: {error}"[:300]}
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    raw, late = b"", False
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        until = time.monotonic() + PATIENCE
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                late = True
                os.kill(child, signal.SIGKILL)
                break
            piece = pipe.read(1 << 20)
            if not piece:
                break
            raw += piece
    _, status, usage = os.wait4(child, 0)
    if late:
        answer = {"kind": f"WRONG: no answer within {PATIENCE:.0f} s"}
    else:
        answer = json.loads(raw) if raw else {"kind": f"WRONG: the process ended with {status}"}
    return {"seconds": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss << 10, **answer}
