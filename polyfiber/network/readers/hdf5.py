"""The part of HDF5 that Keras files use, read from bytes in memory.

The C library was written for files one trusts: a flipped byte in a header can end the process.
So the few structures that hold a Keras model are read here, each bound checked: superblocks 0
to 3, object headers 1 and 2, groups as symbol tables or compact links, attributes that are
strings, datasets of floats in compact or contiguous storage. Chunked or compressed datasets,
links to other places and storage outside the file are refused; Keras writes none of them.

Source: The HDF Group, "HDF5 File Format Specification", versions 2.0 and 3.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError
from .files import array_from, count

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_STEPS = 200_000
"""Structures that one file may make us visit; a cycle ends here."""

_NOWHERE = 0xFFFFFFFFFFFFFFFF
_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _EXTERNAL, _LAYOUT = 0x1, 0x2, 0x3, 0x6, 0x7, 0x8
_FILTERS, _ATTRIBUTE, _CONTINUATION, _SYMBOL_TABLE, _ATTRIBUTE_INFO = 0xB, 0xC, 0x10, 0x11, 0x15

# (bytes, precision, exponent at, exponent size, mantissa at, mantissa size, bias) -> dtype
_FLOATS = {
    (2, 16, 10, 5, 0, 10, 15): "float16",
    (2, 16, 7, 8, 0, 7, 127): "bfloat16",
    (4, 32, 23, 8, 0, 23, 127): "float32",
    (8, 64, 52, 11, 0, 52, 1023): "float64",
}


@dataclass(frozen=True)
class Message:
    """One message of an object header."""

    kind: int
    data: memoryview


@dataclass(frozen=True)
class Dataset:
    """A dataset: its declared shape and where its bytes are."""

    shape: tuple[int, ...]
    dtype: str | None  # None: not floats
    big_endian: bool
    data: memoryview | None  # None: declared, never written


class Hdf5:
    """An HDF5 file in memory.

    Parameters
    ----------
    data : bytes
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._steps = 0
        self._members: dict[int, dict[str, int | None] | None] = {}
        self.size = len(data)
        if not data.startswith(SIGNATURE):
            raise FileFormatError("not an HDF5 file")
        version = self._number(8, 1)
        if version in (0, 1):
            sizes = (self._number(13, 1), self._number(14, 1))
            at = 24 if version == 0 else 28
            self._base, root = self._number(at, 8), at + 32 + 8
        elif version in (2, 3):
            sizes = (self._number(9, 1), self._number(10, 1))
            self._base, root = self._number(12, 8), 36
        else:
            raise FileFormatError(f"HDF5 superblock version {version}; expected 0 to 3")
        if sizes != (8, 8):
            raise FileFormatError(f"HDF5 addresses of {sizes} bytes; expected (8, 8)")
        self.root = self._number(root, 8)

    # ---- bytes ------------------------------------------------------------------------------
    def _slice(self, at: int, size: int, what: str = "a structure") -> memoryview:
        if at < 0 or size < 0 or at + size > len(self._data):
            raise FileFormatError(f"HDF5: {what} of {size:,} bytes at {at:,} lies outside the file (truncated?)")
        return self._data[at : at + size]

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self._slice(at, size), "little")

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise FileFormatError("HDF5: too many structures (a cycle?)")

    # ---- objects ----------------------------------------------------------------------------
    def messages(self, address: int) -> list[Message]:
        """The messages of the object at an address."""
        at = self._base + address
        if bytes(self._slice(at, 4, "an object header")) == b"OHDR":
            return list(self._messages_2(at))
        return list(self._messages_1(at))

    def _messages_1(self, at: int) -> Iterator[Message]:
        if self._number(at, 1) != 1:
            raise FileFormatError(f"HDF5: no object header at {at:,}")
        total, size = self._number(at + 2, 2), self._number(at + 8, 4)
        blocks = [(at + 16, size)]
        found = 0
        while blocks and found < total:
            start, size = blocks.pop(0)
            self._slice(start, size, "an object header")
            here, end = start, start + size
            while here + 8 <= end and found < total:
                self._step()
                kind, length, flags = self._number(here, 2), self._number(here + 2, 2), self._number(here + 4, 1)
                body = self._slice(here + 8, length, "a header message")
                if here + 8 + length > end:
                    raise FileFormatError("HDF5: a message reaches beyond its header")
                found += 1
                here += 8 + length
                if kind == _CONTINUATION:
                    blocks.append(self._continuation(body))
                else:
                    yield self._message(kind, flags, body)

    def _messages_2(self, at: int) -> Iterator[Message]:
        flags = self._number(at + 5, 1)
        start = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        blocks = [(start + width, self._number(start, width))]
        head = 6 if flags & 0x04 else 4
        while blocks:
            start, size = blocks.pop(0)
            self._slice(start, size, "an object header")
            here, end = start, start + size
            while here + head <= end:
                self._step()
                kind, length = self._number(here, 1), self._number(here + 1, 2)
                if here + head + length > end:
                    raise FileFormatError("HDF5: a message reaches beyond its header")
                body = self._slice(here + head, length)
                message_flags = self._number(here + 3, 1)
                here += head + length
                if kind == _CONTINUATION:
                    offset, size = self._continuation(body)
                    if bytes(self._slice(offset, 4)) != b"OCHK" or size < 8:
                        raise FileFormatError("HDF5: a damaged continuation of an object header")
                    blocks.append((offset + 4, size - 8))
                else:
                    yield self._message(kind, message_flags, body)

    def _continuation(self, body: memoryview) -> tuple[int, int]:
        self._step()
        if len(body) < 16:
            raise FileFormatError("HDF5: a damaged continuation of an object header")
        return self._base + int.from_bytes(body[:8], "little"), int.from_bytes(body[8:16], "little")

    def _message(self, kind: int, flags: int, body: memoryview) -> Message:
        if flags & 0x02 and kind in (_DATASPACE, _DATATYPE, _LAYOUT, _ATTRIBUTE, _LINK, _FILTERS):
            raise FileFormatError("HDF5: a message shared between objects; Keras writes none")
        return Message(kind, body)

    # ---- groups -----------------------------------------------------------------------------
    def children(self, address: int) -> dict[str, int | None] | None:
        """Name to address of a group's members (None: a link elsewhere); None if no group."""
        if address not in self._members:
            self._members[address] = self._children(address)
        return self._members[address]

    def _children(self, address: int) -> dict[str, int | None] | None:
        found: dict[str, int | None] = {}
        group = False
        for message in self.messages(address):
            if message.kind == _SYMBOL_TABLE:
                group = True
                tree, heap = (int.from_bytes(message.data[i : i + 8], "little") for i in (0, 8))
                self._symbols(self._base + tree, self._heap(self._base + heap), found)
            elif message.kind == _LINK:
                group = True
                name, target = _link(message.data)
                found[name] = target
            elif message.kind == _LINK_INFO:
                group = True
                at = 2 + (8 if message.data[1] & 1 else 0)
                if int.from_bytes(message.data[at : at + 8], "little") != _NOWHERE:
                    raise FileFormatError(
                        "HDF5: a group in dense storage, which is not supported; export to ONNX, or save as .npz"
                    )
        return found if group else None

    def _heap(self, at: int) -> memoryview:
        if bytes(self._slice(at, 4, "a heap")) != b"HEAP":
            raise FileFormatError("HDF5: a group without its heap of names")
        return self._slice(self._base + self._number(at + 24, 8), self._number(at + 8, 8), "a heap of names")

    def _symbols(self, root: int, heap: memoryview, found: dict[str, int | None]) -> None:
        stack = [root]
        while stack:
            self._step()
            at = stack.pop()
            mark = bytes(self._slice(at, 4, "a group's tree"))
            if mark == b"TREE":
                if self._number(at + 4, 1) != 0:
                    raise FileFormatError("HDF5: a tree that is not a group's")
                used = self._number(at + 6, 2)
                children = [self._base + self._number(at + 24 + 8 + 16 * i, 8) for i in range(used)]
                stack.extend(reversed(children))
            elif mark == b"SNOD":
                for i in range(self._number(at + 6, 2)):
                    self._step()
                    entry = at + 8 + 40 * i
                    name = _string(heap, self._number(entry, 8))
                    linked = self._number(entry + 16, 4) == 2
                    found[name] = None if linked else self._number(entry + 8, 8)
            else:
                raise FileFormatError("HDF5: a damaged tree of a group")

    def find(self, path: str) -> int | None:
        """Address of the object at a path; None if there is none. A link elsewhere is refused."""
        address = self.root
        for part in (p for p in path.split("/") if p):
            members = self.children(address)
            if members is None or part not in members:
                return None
            target = members[part]
            if target is None:
                raise FileFormatError(f"{path!r} is a link, possibly to another file: refused")
            address = target
        return address

    # ---- attributes -------------------------------------------------------------------------
    def text_attribute(self, address: int, name: str) -> str | None:
        """A scalar string attribute; None if there is none of this name."""
        dense = False
        for message in self.messages(address):
            if message.kind == _ATTRIBUTE:
                found = self._attribute(message.data, name)
                if found is not None:
                    return found.decode("utf-8", "replace")
            elif message.kind == _ATTRIBUTE_INFO:
                at = 2 + (2 if message.data[1] & 1 else 0)
                dense = int.from_bytes(message.data[at : at + 8], "little") != _NOWHERE
        if dense:
            raise FileFormatError("HDF5: attributes in dense storage, which is not supported; export to ONNX")
        return None

    def _attribute(self, data: memoryview, wanted: str) -> bytes | None:
        if len(data) < 8:
            raise FileFormatError("HDF5: a damaged attribute")
        version = data[0]
        if version not in (1, 2, 3):
            raise FileFormatError(f"HDF5: attribute version {version}; expected 1 to 3")
        name_size, type_size, space_size = (int.from_bytes(data[i : i + 2], "little") for i in (2, 4, 6))

        def pad(size: int) -> int:
            return -(-size // 8) * 8 if version == 1 else size

        at = 9 if version == 3 else 8
        name = bytes(data[at : at + name_size]).split(b"\0")[0].decode("utf-8", "replace")
        if name != wanted:
            return None
        at += pad(name_size)
        kind = data[at : at + type_size]
        at += pad(type_size)
        shape = _shape(data[at : at + space_size])
        at += pad(space_size)
        if shape is None or count(shape, "an attribute") != 1 or len(kind) < 8:
            raise FileFormatError(f"HDF5: attribute {wanted!r} is not one string")
        cls, size = kind[0] & 15, int.from_bytes(kind[4:8], "little")
        if cls == 3:
            if at + size > len(data):
                raise FileFormatError(f"HDF5: attribute {wanted!r} is cut off")
            return bytes(data[at : at + size]).rstrip(b"\0")
        if cls == 9 and kind[1] & 15 == 1:
            length, heap, index = (
                int.from_bytes(data[at + a : at + b], "little") for a, b in ((0, 4), (4, 12), (12, 16))
            )
            return bytes(self._global(self._base + heap, index)[:length]).rstrip(b"\0")
        raise FileFormatError(f"HDF5: attribute {wanted!r} is not a string")

    def _global(self, at: int, index: int) -> memoryview:
        """An object of a global heap, where strings of variable length are kept."""
        if bytes(self._slice(at, 4, "a global heap")) != b"GCOL":
            raise FileFormatError("HDF5: a string that points nowhere")
        end = at + self._number(at + 8, 8)
        at += 16
        while at + 16 <= min(end, len(self._data)):
            self._step()
            number, size = self._number(at, 2), self._number(at + 8, 8)
            if number == index and index:
                return self._slice(at + 16, size, "a string")
            if number == 0:
                break
            at += 16 + -(-size // 8) * 8
        raise FileFormatError("HDF5: a string that points nowhere")

    # ---- datasets ---------------------------------------------------------------------------
    def dataset(self, address: int, what: str) -> Dataset | None:
        """The dataset at an address; None if the object is no dataset."""
        parts = {message.kind: message.data for message in self.messages(address)}
        if _LAYOUT not in parts:
            return None
        if _DATASPACE not in parts or _DATATYPE not in parts:
            raise FileFormatError(f"{what} has no shape or no dtype")
        if _EXTERNAL in parts:
            raise FileFormatError(f"{what} keeps its numbers outside the file: refused")
        if _FILTERS in parts:
            raise FileFormatError(f"{what} is compressed, which Keras does not do; save it uncompressed")
        shape = _shape(parts[_DATASPACE])
        if shape is None:
            raise FileFormatError(f"{what} is empty")
        kind = parts[_DATATYPE]
        dtype = _float(kind)
        if dtype is None:
            return Dataset(shape, None, False, None)
        layout = parts[_LAYOUT]
        if len(layout) < 2 or layout[0] not in (3, 4):
            raise FileFormatError(
                f"{what} has a layout of version {layout[0] if len(layout) else '?'}; expected 3 or 4"
            )
        data: memoryview | None
        if layout[1] == 0:
            size = int.from_bytes(layout[2:4], "little")
            data = layout[4 : 4 + size]
        elif layout[1] == 1:
            where, size = (int.from_bytes(layout[i : i + 8], "little") for i in (2, 10))
            data = None if where == _NOWHERE else self._slice(self._base + where, size, what)
        else:
            names = {2: "in chunks", 3: "as a view of other datasets"}
            raise FileFormatError(f"{what} is stored {names.get(layout[1], 'oddly')}, which Keras does not do: refused")
        return Dataset(shape, dtype, bool(kind[1] & 1), data)


def read_dataset(dataset: Dataset, what: str) -> Array:
    """The numbers of a dataset, after its claim was compared with the bytes that are there."""
    if dataset.dtype is None:
        raise FileFormatError(f"{what} holds no floats; expected floats")
    if dataset.data is None:
        claimed = count(dataset.shape, what)
        raise FileFormatError(f"{what} claims shape {dataset.shape}, {claimed:,} numbers, which the file does not hold")
    if not dataset.big_endian:
        return array_from(dataset.data, dataset.dtype, dataset.shape, what)
    item = 2 if dataset.dtype == "bfloat16" else np.dtype(dataset.dtype).itemsize
    swapped = np.frombuffer(dataset.data, dtype=f">u{item}").astype(f"<u{item}").tobytes()
    return array_from(swapped, dataset.dtype, dataset.shape, what)


def _string(heap: memoryview, at: int) -> str:
    if at >= len(heap):
        raise FileFormatError("HDF5: a name outside the heap of names")
    return bytes(heap[at : at + 4096]).split(b"\0")[0].decode("utf-8", "replace")


def _link(data: memoryview) -> tuple[str, int | None]:
    """(name, address) of a link message; None for soft and external links."""
    if len(data) < 4 or data[0] != 1:
        raise FileFormatError("HDF5: a damaged link")
    flags, at, kind = data[1], 2, 0
    if flags & 8:
        kind, at = data[at], at + 1
    at += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    size = int.from_bytes(data[at : at + width], "little")
    at += width
    if at + size > len(data):
        raise FileFormatError("HDF5: a damaged link")
    name = bytes(data[at : at + size]).decode("utf-8", "replace")
    at += size
    if kind != 0:
        return name, None
    return name, int.from_bytes(data[at : at + 8], "little")


def _shape(data: memoryview) -> tuple[int, ...] | None:
    """Sizes of a dataspace message; () for a scalar, None for no data at all."""
    if len(data) < 4 or data[0] not in (1, 2):
        raise FileFormatError("HDF5: a damaged dataspace")
    rank = data[1]
    if data[0] == 2 and data[3] == 2:
        return None
    at = 8 if data[0] == 1 else 4
    if at + 8 * rank > len(data):
        raise FileFormatError("HDF5: a damaged dataspace")
    return tuple(int.from_bytes(data[at + 8 * i : at + 8 * i + 8], "little") for i in range(rank))


def _float(data: memoryview) -> str | None:
    """dtype of a datatype message that is an IEEE or bfloat16 number; None for anything else."""
    if len(data) < 20 or data[0] & 15 != 1 or data[1] & 0x40:
        return None
    size = int.from_bytes(data[4:8], "little")
    precision = int.from_bytes(data[10:12], "little")
    bias = int.from_bytes(data[16:20], "little")
    return _FLOATS.get((size, precision, data[12], data[13], data[14], data[15], bias))
