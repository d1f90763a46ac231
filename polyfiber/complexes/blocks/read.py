"""Cells on disk, read again: the manifest, the journal of blocks, the parts.

A directory holds ``manifest.json`` (what is written, and when complete the totals), ``network.npz``, the journal
``blocks.jsonl`` with a line for each complete block, and the parts in the folder ``cells``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ... import words
from ..._once import cached_property
from ..._typing import Array
from ..._values.checked import path_of
from ...domain import Box, Polyhedron
from ...errors import FileFormatError, InputError, old_name
from ...kernels.complexes import faces as fk
from ...network.model import ReLUNetwork
from ...network.names import local_path
from ...network.piecewise import PiecewiseLinearNetwork
from ...words import listed, one_line
from ..containers import parse_json, regular
from ..digests import network_digest
from ..skeleton.arrays import make_frame
from ..skeleton.faces import planes_of
from . import parts
from .block import Block
from .contents import MASK, BlockCount, Cells
from .run import BlockSum

FORMAT = "polyfiber-cells"
FORMAT_VERSION = 1
JOURNAL = "blocks.jsonl"


def line_of(count: BlockCount) -> str:
    """A line of the journal."""
    data = {
        "block": count.block.to_dict(),
        "f_vector": list(count.f_vector),
        "bounded": list(count.bounded),
        "decisions": count.decisions,
        "fingerprints": {str(d): [f"{x:016x}" for x in pair] for d, pair in count.fingerprints.items()},
        "vertices": count.vertices,
        "verified": count.verified,
        "seconds": round(count.seconds, 4),
        "files": count.extra["files"],
    }
    return json.dumps(data, separators=(",", ":"))


def count_of(data: dict[str, Any]) -> BlockCount:
    """The count of a line of the journal."""
    prints = {int(d): (int(a, 16), int(b, 16)) for d, (a, b) in data["fingerprints"].items()}
    numbers = (*data["f_vector"], *data["bounded"], *data["decisions"].values(), data["vertices"])
    if not all(type(x) is int and x >= 0 for x in numbers):
        raise ValueError("counts that are no counts")
    return BlockCount(
        Block.from_dict(data["block"]),
        tuple(data["f_vector"]),
        tuple(data["bounded"]),
        data["decisions"],
        prints,
        data["vertices"],
        data["verified"],
        data["seconds"],
        {"files": data["files"]},
    )


def domain_data(domain: Polyhedron | None) -> dict[str, Any] | None:
    """A domain as plain data: floats as numbers, rationals as texts; `domain_of` reads it."""
    if domain is None:
        return None

    def plain(values: Array) -> Any:
        exact = values.dtype == object
        return np.vectorize(lambda v: str(Fraction(v)), otypes=[object])(values).tolist() if exact else values.tolist()

    if isinstance(domain, Box):
        return {"kind": "box", "lo": plain(domain.lo), "hi": plain(domain.hi)}
    return {"kind": "polyhedron", "A": plain(domain.A), "b": plain(domain.b)}


def domain_of(data: dict[str, Any] | None) -> Polyhedron | None:
    """The domain of `domain_data`."""
    if data is None:
        return None

    def numbers(values: Any) -> Array:
        array = np.array(values, dtype=object)
        exact = any(isinstance(v, str) for v in array.ravel())
        return np.vectorize(Fraction, otypes=[object])(array) if exact else array.astype(np.float64)

    if data["kind"] == "box":
        return Box(numbers(data["lo"]), numbers(data["hi"]))
    return Polyhedron(numbers(data["A"]), numbers(data["b"]))


def part_name(dim: int, block: Block, file_format: str) -> str:
    """Name of the file with the cells of one dimension of a block."""
    return f"{dim}-{block.key}{parts.suffix(file_format)}"


LARGEST_MANIFEST = 1 << 26
"""Bytes of a manifest; the domain is written in it."""


def _manifest(path: Path) -> dict[str, Any]:
    if regular(path) > LARGEST_MANIFEST:
        raise FileFormatError(f"more than {LARGEST_MANIFEST:,} bytes")
    data = parse_json(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise FileFormatError(
            f"it holds {data.get('format') if isinstance(data, dict) else data!r}, expected {FORMAT!r}"
        )
    version = data.get("format_version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise FileFormatError(f"format version {version!r}; this polyfiber reads up to {FORMAT_VERSION}: upgrade it")
    if type(data.get("complete")) is not bool:
        raise FileFormatError("it does not say whether the store is complete")
    dims, whole = data.get("dims"), [data.get(name) for name in ("columns", "dimension")]
    if not isinstance(dims, list) or not all(type(k) is int and 0 <= k < 1 << 31 for k in (*dims, *whole)):
        raise FileFormatError("its dimensions are damaged")
    if not isinstance(data.get("network"), str) or "domain" not in data:
        raise FileFormatError("it names no network or no domain")
    if data.get("file_format") not in parts.FORMATS or not isinstance(data.get("options"), dict):
        raise FileFormatError("its format of parts is damaged")
    return data


class CellStore:
    """A directory of streamed cells, complete or not; see `write_cells` and `read_cells`.

    Attributes
    ----------
    directory : Path
    manifest : dict
    """

    __repr__ = one_line

    def __init__(self, directory: Any) -> None:
        self.directory = local_path(directory, "a directory of cells")
        path = self.directory / "manifest.json"
        try:
            if not path.exists():
                raise FileFormatError(f"{self.directory} is no directory of streamed cells: it has no manifest.json")
            self.manifest: dict[str, Any] = _manifest(path)
        except FileFormatError as error:
            raise FileFormatError(f"{path} cannot be read: {error}") from None
        except (OSError, ValueError) as error:
            raise FileFormatError(f"{path} cannot be read: {error}") from None

    @property
    def dims(self) -> tuple[int, ...]:
        """Dimensions whose cells are written."""
        return tuple(int(d) for d in self.manifest["dims"])

    @property
    def n_columns(self) -> int:
        """Length N + D of a sign vector."""
        return int(self.manifest["columns"])

    @property
    def cells_folder(self) -> Path:
        """Where the parts are; a link in its place is refused."""
        folder = self.directory / "cells"
        if folder.is_symlink():
            raise FileFormatError(f"{folder} is a link; expected a folder, and what it points to is left alone")
        return folder

    @cached_property
    def network(self) -> ReLUNetwork | PiecewiseLinearNetwork:
        """The network whose cells these are."""
        from ...network.readers import read_network

        regular(self.directory / "network.npz")
        network = read_network(self.directory / "network.npz")
        names = [network_digest(network), list(network.architecture)]
        if names != [self.manifest["network"], self.manifest.get("architecture")]:
            raise FileFormatError(f"{self.directory / 'network.npz'} is not the network of the manifest")
        try:
            frame = make_frame(network, self.domain)
        except InputError as error:
            raise FileFormatError(f"the domain of {self.directory / 'manifest.json'} does not fit: {error}") from None
        found = [self.manifest["dimension"], self.n_columns]
        expected = [frame.n, frame.n_neurons + frame.n_domain]
        if found != expected or max(self.dims, default=0) > frame.n:
            raise FileFormatError(
                f"{self.directory / 'manifest.json'} has cells of dimension {listed(self.dims)} of {found[0]} and {found[1]} "
                f"columns; its network has dimension {expected[0]} and {words.count(expected[1], 'column')}"
            )
        return network

    @property
    def domain(self) -> Polyhedron | None:
        """The domain of the cells."""
        try:
            return domain_of(self.manifest["domain"])
        except (ValueError, KeyError, TypeError, ZeroDivisionError, OverflowError) as error:
            raise FileFormatError(f"{self.directory / 'manifest.json'} names no domain: {error}") from None

    def block_counts(self) -> list[BlockCount]:
        """The blocks of the journal; an unfinished last line does not count.

        Raises
        ------
        FileFormatError
            A damaged line; or the store is complete, and the journal does not have the totals of the manifest.
        """
        counts = [count for count, _ in self._lines()]
        if self.manifest.get("complete"):
            self._compare(counts)
        return counts

    counts = old_name("block_counts")

    def _compare(self, counts: list[BlockCount]) -> None:
        """The journal of a complete store against its manifest."""
        total = BlockSum.of(self.network, int(self.manifest["dimension"]), counts)
        found = {
            "blocks": len(counts),
            "f_vector": list(total.f_vector),
            "bounded": list(total.bounded),
            "fingerprints": {str(d): [f"{x:016x}" for x in pair] for d, pair in total.fingerprints.items()},
            "complete": total.complete,
            "decisions": total.decisions,
        }
        wrong = [name for name, value in found.items() if self.manifest.get(name) != value]
        if wrong:
            raise FileFormatError(
                f"{self.directory / JOURNAL} is damaged: of a complete store, its {wrong[0].replace('_', ' ')} are "
                f"{found[wrong[0]]}, the manifest says {self.manifest.get(wrong[0])}"
            )

    def _lines(self) -> list[tuple[BlockCount, int]]:
        """Counts, and where each line ends."""
        path = self.directory / JOURNAL
        found: list[tuple[BlockCount, int]] = []
        if not path.exists() and not path.is_symlink():
            return found
        regular(path)
        end = 0
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                try:
                    count = count_of(parse_json(line.decode()))
                    self._check_count(count)
                    found.append((count, end))
                except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
                    raise FileFormatError(f"line {number} of {path} is damaged: {error}") from None
        return found

    def _check_count(self, count: BlockCount) -> None:
        """Counts of all dimensions, a part where there are cells; its name is the block's, so none lies elsewhere."""
        dims = int(self.manifest["dimension"]) + 1
        if len(count.f_vector) != dims or len(count.bounded) != dims or set(count.fingerprints) != set(self.dims):
            raise FileFormatError("counts of other dimensions than the manifest has")
        for d, entry in count.extra["files"].items():
            expected = part_name(int(d), count.block, self.manifest["file_format"])
            if int(d) not in self.dims or entry["name"] != expected or type(entry["rows"]) is not int:
                raise FileFormatError(f"a part {str(entry['name'])[:80]!r}; expected {expected!r}")
        rows = {d: entry["rows"] for d, entry in count.extra["files"].items()}
        if rows != {str(d): count.f_vector[d] for d in self.dims if count.f_vector[d]}:
            raise FileFormatError(f"its parts have {rows} cells by dimension, its counts are {count.f_vector}")

    def total(self) -> BlockSum:
        """Sums over the blocks that are there; ``complete`` and ``remaining`` say what is missing."""
        return BlockSum.of(self.network, int(self.manifest["dimension"]), self.block_counts())

    def cells(self, dim: int) -> Iterator[Cells]:
        """The written cells of a dimension, in pieces.

        Raises
        ------
        InputError
            The dimension was not written.
        FileFormatError
            A part is missing or damaged: it does not have the checksum of the journal.
        """
        if dim not in self.dims:
            raise InputError(f"{self.directory} has cells of dimension {listed(self.dims)}, not {dim}")
        for count in self.block_counts():
            entry = count.extra["files"].get(str(dim))
            if entry is None:
                continue
            rows, path = 0, self.cells_folder / entry["name"]
            if not self.has_sum(entry):
                raise FileFormatError(f"{path} is missing or damaged: the journal has another checksum")
            for piece in parts.read_part(path, format=self.manifest["file_format"]):
                cells = self._cells_of(piece, count.block, dim, entry["name"])
                rows += len(cells)
                yield cells
            if rows != entry["rows"]:
                raise FileFormatError(f"{entry['name']} has {rows} cells, the journal says {entry['rows']}")

    def _cells_of(self, piece: parts.Columns, block: Block, dim: int, where: str) -> Cells:
        """The cells of a piece, once its columns are those that the manifest names, of their types and shapes."""
        n, outputs = self.network.architecture[0], self.network.architecture[-1]
        options, kinds = self.manifest["options"], {"plus": "uint8", "minus": "uint8"}
        kinds |= {"unbounded": "bool"} if options.get("unbounded") else {}
        kinds |= {"A": "float64", "a": "float64"} if options.get("maps") and dim == self.manifest["dimension"] else {}
        kinds |= {"vertices": "float64", "rays": "float64"} if options.get("vertices") else {}
        if set(piece) != set(kinds):
            raise FileFormatError(f"{where} has the columns {sorted(piece)}; expected {sorted(kinds)}")
        rows, bits = len(piece["plus"]), (-(-self.n_columns // 8),)
        shapes = {
            "plus": bits,
            "minus": bits,
            "unbounded": (),
            "A": (outputs, n),
            "a": (outputs,),
            "vertices": (n,),
            "rays": (n,),
        }
        found: parts.Columns = {}
        for name, kind in kinds.items():
            listed = name in ("vertices", "rays")
            values = piece[name][1] if listed and isinstance(piece[name], tuple) else piece[name]
            if listed != isinstance(piece[name], tuple) or not isinstance(values, np.ndarray) or values.dtype != kind:
                raise FileFormatError(f"the column {name} of {where} does not hold {kind}")
            size = math.prod(shapes[name])
            if values.size != len(values) * size or len(values) != (piece[name][0][-1] if listed else rows):
                raise FileFormatError(f"the column {name} of {where} has the shape {values.shape}")
            values = values.reshape(len(values), *shapes[name])
            found[name] = (piece[name][0], values) if listed else values
        if (found["plus"] & found["minus"]).any():
            raise FileFormatError(f"{where} has columns that are positive and negative")
        return Cells(block, dim, n_columns=self.n_columns, **found)

    def has_sum(self, entry: dict[str, Any]) -> bool:
        """Whether a part is the file that was written, by its checksum in the journal; stores of 0.1 have none."""
        path = self.cells_folder / entry["name"]
        return "sha256" not in entry or (parts.is_part(path) and parts.checksum(path) == entry["sha256"])

    def check(self) -> list[str]:
        """Read every part again; none if each has its checksum and each block's cells the fingerprint of the
        journal.
        """
        problems = []
        total = self.total()
        for d in self.dims:
            try:
                if self._fingerprint(d) != total.fingerprints.get(d, (0, 0)):
                    problems.append(f"the cells of dimension {d} do not have the fingerprint of the journal")
            except FileFormatError as error:
                problems.append(str(error))
        listed = {entry["name"] for count in total.blocks for entry in count.extra["files"].values()}
        extra = {p.name for p in self.cells_folder.iterdir()} - listed
        if extra and total.complete:  # before that, they are what a resumed run removes
            problems.append(
                f"{words.count(len(extra), f'file in {self.cells_folder} is', f'files in {self.cells_folder} are')} not in the journal, as {min(extra)}"
            )
        return problems

    def _fingerprint(self, dim: int) -> tuple[int, int]:
        return self._print_of(self.cells(dim))

    def _print_of(self, pieces: Iterable[Cells]) -> tuple[int, int]:
        d = self.n_columns - self.network.n_hidden
        words = max(1, (self.n_columns + 63) // 64)
        a = b = 0
        for cells in pieces:
            planes = planes_of(cells.signs, d, words)
            x, y = fk.fingerprint(planes, 0, len(planes))
            a, b = (a + int(x)) & MASK, (b + int(y)) & MASK
        return a, b

    # ---- writing ----------------------------------------------------------------------------
    def clean(self) -> None:
        """Forget an unfinished line and blocks with a part that is gone or damaged, remove parts that no line names.

        Whatever is no part is left alone.
        """
        folder, journal = self.cells_folder, self.directory / JOURNAL
        folder.mkdir(exist_ok=True)
        lines, start, kept, listed = self._lines(), 0, [], set()
        data = journal.read_bytes() if lines else b""
        for count, end in lines:
            if all(self._is_sound(count, int(d), entry) for d, entry in count.extra["files"].items()):
                kept.append(data[start:end])
                listed |= {entry["name"] for entry in count.extra["files"].values()}
            start = end
        if journal.exists():
            if len(kept) < len(lines):  # killed before all is written, more blocks are made again, that is all
                with journal.open("r+b") as stream:
                    stream.write(b"".join(kept))
            os.truncate(journal, sum(map(len, kept)))
        for path in folder.iterdir():
            if path.name not in listed and (parts.is_part(path) or parts.is_unfinished(path)):
                parts.remove(path)

    def _is_sound(self, count: BlockCount, dim: int, entry: dict[str, Any]) -> bool:
        """Whether a part is what was written; of an older store, whether it holds the cells of the journal."""
        path = self.cells_folder / entry["name"]
        if path.is_symlink():
            raise FileFormatError(f"{path} is a link; expected a part. Put the part itself there, or remove the link")
        if "sha256" in entry:
            return self.has_sum(entry)
        try:
            pieces = parts.read_part(path, format=self.manifest["file_format"])
            cells = [self._cells_of(piece, count.block, dim, entry["name"]) for piece in pieces]
        except FileFormatError:
            return False
        return self._print_of(cells) == count.fingerprints[dim]

    def finish(self) -> None:
        """Write the totals into the manifest once nothing is missing."""
        total = self.total()
        self.manifest |= {
            "complete": total.complete,
            "f_vector": list(total.f_vector),
            "bounded": list(total.bounded),
            "fingerprints": {str(d): [f"{x:016x}" for x in pair] for d, pair in total.fingerprints.items()},
            "decisions": total.decisions,
            "blocks": len(total.blocks),
        }
        parts.write_text(self.directory / "manifest.json", json.dumps(self.manifest, indent=2) + "\n")


def read_cells(directory: Any) -> CellStore:
    """Open a directory that `write_cells` made, complete or not.

    Raises
    ------
    FileFormatError
        It is none, or newer than this polyfiber.

    Examples
    --------
    >>> import tempfile
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     _ = pf.write_cells(net, f"{place}/cells", file_format="npz")
    ...     pf.read_cells(f"{place}/cells").dims
    (2,)
    """
    return CellStore(path_of(directory))


__all__ = ["CellStore", "read_cells"]
