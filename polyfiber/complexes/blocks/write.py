"""Write the cells of a complex as they come, block by block, to be resumed after any end.

A block counts when its line in the journal is on the disk, which happens after its parts are: after a kill
nothing is lost or doubled. What is missing follows from the lines alone, so memory, workers and the
way of splitting may change between runs.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ... import _version
from ..._typing import OnDegenerate, ProgressLike, StartMethod
from ...budget import Budget, Monitor
from ...domain import Polyhedron
from ...errors import InputError, PolyfiberError
from ...network.model import ReLUNetwork
from ...network.names import local_path
from ...network.piecewise import PiecewiseLinearNetwork
from ...network.writers import network_bytes
from ...words import listed
from ..containers import regular
from ..digests import network_digest
from ..skeleton.arrays import Frame, make_frame
from . import parts
from .block import complement
from .contents import BlockComplex, BlockCount
from .read import FORMAT, FORMAT_VERSION, JOURNAL, CellStore, domain_data, line_of, part_name
from .run import BlockSum, first_blocks, rooms, run_blocks


@dataclass(frozen=True)
class WriteJob:
    """Writes the parts of one block and counts it; travels to the workers."""

    folder: str
    dims: tuple[int, ...]
    format: str
    options: dict[str, bool]
    verify: bool

    def __call__(self, part: BlockComplex) -> BlockCount:
        started = time.perf_counter()
        files: dict[str, Any] = {}
        for d in self.dims:
            rows = part.f_vector[d]
            if not rows:
                continue
            chosen = {**self.options, "maps": self.options["maps"] and d == part.dimension}
            path = Path(self.folder) / part_name(d, part.block, self.format)
            pieces = (parts.columns_of(cells) for cells in part.cells(d, rows=parts.ROWS, **chosen))
            size, digest = parts.write_part(path, pieces, format=self.format)
            files[str(d)] = {"name": path.name, "rows": rows, "bytes": size, "sha256": digest}
        count = BlockCount.of(part, fingerprints=self.dims, verify=self.verify)
        return replace(count, seconds=time.perf_counter() - started + part.seconds, extra={"files": files})


# more than ten parameters: public: what to write, where, how, and within what
def write_cells(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    directory: Any,
    domain: Polyhedron | None = None,
    *,
    dims: Sequence[int] | None = None,
    file_format: Literal["parquet", "zarr", "npz"] = "parquet",
    unbounded: bool = True,
    maps: bool = False,
    vertices: bool = False,
    workers: int = 1,
    start_method: StartMethod | None = None,
    resume: bool = False,
    verify: bool = False,
    on_degenerate: OnDegenerate = "resolve",
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> BlockSum:
    """Enumerate a complex block by block and write its cells to a directory.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    directory : path
        Made if it is not there.
    domain : Box or Polyhedron, optional
    dims : sequence of int, optional
        Dimensions to write, regions by default.
    file_format : 'parquet', 'zarr' or 'npz'
        Parquet needs pyarrow (extra ``data``), Zarr the package zarr (extra ``zarr``).
    unbounded, maps, vertices : bool
        What to write besides the signs; maps for regions only.
    workers, start_method : optional
        Processes and how they start, see `count_blocks`.
    resume : bool
        Go on where an earlier run ended, however it ended; start if there was none. Blocks whose parts are gone or
        damaged are made again.
    verify : bool
        Check every block's certificate anew.
    on_degenerate, progress : optional
        As for `canonical_complex`.
    budget : Budget, optional
        Its memory is what all workers together work in, 256 MB each by default.

    Returns
    -------
    BlockSum
        Of everything in the directory.

    Raises
    ------
    InputError
        The directory is not empty and ``resume`` is not given, holds something else, or is being written.
    MissingDependencyError
    BudgetExceededError, KeyboardInterrupt
        With the attribute ``partial``, a `BlockSum` of what is on the disk; resume to go on.

    Examples
    --------
    >>> import tempfile, polyfiber as pf
    >>> net = pf.ReLUNetwork.random((2, 12, 12, 1), rng=0)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     total = pf.write_cells(net, place, file_format="npz")
    ...     sum(len(cells) for cells in pf.read_cells(place).cells(2)) == total.f_vector[2]
    True
    """
    folder = local_path(directory, "a directory of cells")
    monitor = Monitor(budget, progress)
    parts.require(file_format)
    frame = make_frame(network, domain)
    chosen = _dims(frame, dims)
    options = {"unbounded": bool(unbounded), "maps": bool(maps), "vertices": bool(vertices)}
    manifest = _manifest(network, domain, frame, chosen, file_format, options)
    room, most = rooms(frame, budget, workers, dims=chosen, lookup=unbounded or vertices, incidence=vertices)
    store = _open(folder, network, manifest, resume=resume)
    with _locked(store) as journal:
        store.clean()
        missing = complement((count.block for count in store.block_counts()), network=network)
        job = WriteJob(str(store.cells_folder), chosen, file_format, options, verify)
        try:
            todo = first_blocks(network, domain, frame, room, workers, monitor, missing) if missing else ()
            for count in run_blocks(
                network, domain, todo, job, room=room, most=most, workers=workers, start_method=start_method,
                on_degenerate=on_degenerate, monitor=monitor,
            ):  # fmt: skip
                journal.write(line_of(count).encode() + b"\n")
                journal.flush()
                os.fsync(journal.fileno())
        except OSError as error:
            raise InputError(f"cannot write to {directory}: {error}", partial=store.total()) from None
        except (PolyfiberError, KeyboardInterrupt) as stop:
            stop.partial = replace(store.total(), seconds=monitor.elapsed)  # type: ignore[union-attr]
            raise
        store.finish()
    return replace(store.total(), seconds=monitor.elapsed)


def _dims(frame: Frame, dims: Sequence[int] | None) -> tuple[int, ...]:
    chosen = tuple(sorted({frame.n} if dims is None else {int(d) for d in dims}))
    if not chosen or not all(0 <= d <= frame.n for d in chosen):
        raise InputError(f"dims are some of 0 to {frame.n}, found {listed(chosen)}")
    return chosen


def _manifest(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None,
    frame: Frame,
    dims: tuple[int, ...],
    file_format: str,
    options: dict[str, bool],
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "polyfiber": _version.__version__,
        "network": network_digest(network),
        "architecture": list(network.architecture),
        "domain": domain_data(domain),
        "dimension": frame.n,
        "columns": frame.n_neurons + frame.n_domain,
        "dims": list(dims),
        "file_format": file_format,
        "options": options,
        "complete": False,
    }


SAME = ("network", "domain", "dims", "file_format", "options")
"""What a resumed run must have in common with the first."""


def _open(
    directory: Path, network: ReLUNetwork | PiecewiseLinearNetwork, manifest: dict[str, Any], *, resume: bool
) -> CellStore:
    if (directory / "manifest.json").exists():
        store = CellStore(directory)
        if not resume:
            raise InputError(f"{directory} holds cells already; resume, or choose another directory")
        other = [key for key in SAME if store.manifest.get(key) != manifest[key]]
        if other:
            raise InputError(
                f"{directory} was begun with another {other[0].replace('_', ' ')}: {store.manifest.get(other[0])!r} there, "
                f"{manifest[other[0]]!r} now"
            )
        store.manifest["complete"] = False  # until it is: what is missing of a damaged one is made again
        return store
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; expected a directory")
    if directory.exists() and not all(_is_begun(p, network) for p in directory.iterdir()):
        raise InputError(f"{directory} is not empty and holds no cells; choose another directory")
    try:
        (directory / "cells").mkdir(parents=True, exist_ok=True)
        network.save(directory / "network.npz")
    except OSError as error:
        raise InputError(f"cannot write to {directory}: {error}") from None
    parts.write_text(directory / "manifest.json", json.dumps(manifest, indent=2) + "\n")
    return CellStore(directory)


def _is_begun(path: Path, network: ReLUNetwork | PiecewiseLinearNetwork) -> bool:
    """Whether a run of this network that was killed before its manifest left this: an empty folder, the network."""
    if path.is_symlink():
        return False
    if path.name == "cells":
        return path.is_dir() and not any(path.iterdir())
    return path.name == "network.npz" and path.is_file() and path.read_bytes() == network_bytes(network)


@contextmanager
def _locked(store: CellStore) -> Iterator[Any]:
    """The journal, open to append; one process at a time, where the system has locks."""
    path = store.directory / JOURNAL
    if path.is_symlink() or path.exists():
        regular(path)
    with path.open("ab") as journal:
        try:
            import fcntl
        except ImportError:  # Windows
            fcntl = None  # type: ignore[assignment]
        if fcntl is not None:
            try:
                fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(f"another process is writing to {store.directory}") from None
        yield journal


__all__ = ["write_cells"]
