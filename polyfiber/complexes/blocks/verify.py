"""Check a store of streamed cells: every block is enumerated and verified again, and its parts compared with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import words
from ..._typing import FloatArray
from ...budget import Budget, Monitor
from ...errors import BudgetExceededError, MissingDependencyError, PolyfiberError
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ..certificate import Verification
from ..digests import domain_digest
from ..geometry import map_errors
from ..skeleton.arrays import Frame, make_frame
from . import parts
from .block import complement
from .contents import BlockComplex, BlockCount, run_block
from .read import CellStore, read_cells

CLOSE = 1e-9
"""Relative difference up to which stored numbers are the same, within their error bounds: another machine may round
otherwise.
"""


def verify_cells(
    directory: Any,
    *,
    network: ReLUNetwork | PiecewiseLinearNetwork | None = None,
    domain: Any = ...,
    budget: Budget | None = None,
) -> Verification:
    """Whether a directory holds the cells of its network on its domain.

    Parameters
    ----------
    directory : str or Path
        As `write_cells` made it.
    network, domain : optional
        What it must be about; by default, the network and the domain that it holds.
    budget : Budget, optional

    Returns
    -------
    Verification
        Whatever the directory is: a ``verdict`` with reasons, never an exception. An incomplete store is UNDECIDED at
        best.

    Notes
    -----
    Costs as much as writing the cells and checking every block's certificate. The numbers of decisions, the seconds and
    the sizes of blocks in the journal say how it was made, and are not checked.

    Examples
    --------
    >>> import tempfile, polyfiber as pf
    >>> from polyfiber.complexes.blocks.verify import verify_cells
    >>> with tempfile.TemporaryDirectory() as place:
    ...     _ = pf.write_cells(pf.ReLUNetwork.random((2, 5, 1), rng=0), place, file_format="npz")
    ...     verify_cells(place).verdict, verify_cells(place + "/absent").verdict
    (<Verdict.YES: 'yes'>, <Verdict.NO: 'no'>)
    """
    monitor = Monitor(budget)
    problems: list[str] = []
    unfinished: list[str] = []
    totals = np.zeros(4, dtype=np.int64)
    recomputed: tuple[str, ...] = ()
    try:
        with monitor.watching():
            recomputed = _check(read_cells(directory), network, domain, monitor, problems, unfinished, totals)
    except BudgetExceededError as error:
        if not monitor.late and not hasattr(error, "needed"):
            raise  # of someone who is watching
        unfinished.append(str(error))
    except (MissingDependencyError, MemoryError) as error:
        unfinished.append(str(error) or "memory is used up")
    except Exception as error:  # whatever a damaged store may lead to is a finding
        text = str(error) if isinstance(error, PolyfiberError) else f"{type(error).__name__}: {error}"
        problems.append(text[:300])
    vertices, edges, filtered, exact = totals.tolist()
    ok = not problems and not unfinished
    return Verification(
        ok, vertices, edges, filtered + exact, filtered, exact, tuple(problems), tuple(unfinished), recomputed
    )


def _check(
    store: CellStore,
    network: ReLUNetwork | PiecewiseLinearNetwork | None,
    domain: Any,
    monitor: Monitor,
    problems: list[str],
    unfinished: list[str],
    totals: Any,
) -> tuple[str, ...]:
    net, region = store.network, store.domain
    if network is not None and network != net:
        problems.append("these are the cells of another network")
    if domain is not ... and domain_digest(domain) != domain_digest(region):
        problems.append("these are cells on another domain")
    frame = make_frame(net, region)
    facts = {
        "architecture": list(net.architecture),
        "dimension": frame.n,
        "columns": frame.n_neurons + frame.n_domain,
        "dims": sorted({d for d in store.dims if d <= frame.n}),
    }
    problems += [f"the manifest has other {name}" for name, value in facts.items() if store.manifest.get(name) != value]
    counts = store.block_counts()
    missing = complement([count.block for count in counts], network=net)
    if missing:
        unfinished.append(f"{words.count(len(missing), 'block is', 'blocks are')} missing; resume the run")
    elif store.manifest.get("complete") is not True:
        problems.append("no block is missing, but the manifest does not say that it is complete")
    if store.cells_folder.is_dir():
        listed = {entry["name"] for count in counts for entry in count.extra["files"].values()}
        extra = sorted({path.name for path in store.cells_folder.iterdir()} - listed)
        if extra and not missing:
            problems.append(f"{words.count(len(extra), 'file is', 'files are')} not in the journal, as {extra[0][:80]}")
    for number, count in enumerate(counts):
        monitor.check_time(f"the check of cells ({number} of {len(counts)} blocks)")
        part = run_block(net, count.block, region, budget=monitor.rest(), frame=frame)
        _check_block(store, frame, count, part, problems, totals)
        if problems:
            break
    return (
        f"{words.count(len(counts), 'block')} enumerated again, certificates checked by other code",
        f"cells of dimension {words.listed(store.dims)} compared with those of the blocks",
    )


def _check_block(
    store: CellStore, frame: Frame, count: BlockCount, part: BlockComplex, problems: list[str], totals: Any
) -> None:
    where = f"the block of path {count.block.path}"
    if part.complex is not None:
        found = part.complex.certificate.verify()
        totals += found.vertices, found.edges, found.filtered, found.exact
        problems += [f"{where}: {text}" for text in (*found.problems, *found.unfinished)]
    again = BlockCount.of(part, fingerprints=store.dims)
    for name in ("f_vector", "bounded", "fingerprints"):
        if getattr(again, name) != getattr(count, name):
            problems.append(f"{where} has other numbers in the journal: {name.replace('_', ' ')}")
    limits = _limits(frame, part)
    for d in store.dims:
        if problems:
            return
        entry = count.extra["files"].get(str(d))
        if entry is None:
            if part.f_vector[d]:
                problems.append(f"{where} has cells of dimension {d}, and no part")
            continue
        options = store.manifest["options"]
        chosen = {k: bool(options.get(k)) for k in ("unbounded", "maps", "vertices")}
        chosen["maps"] = chosen["maps"] and d == frame.n
        made = _joined([parts.columns_of(cells) for cells in part.cells(d, **chosen)])
        path = store.cells_folder / entry["name"]
        read = _joined(list(parts.read_part(path, format=store.manifest["file_format"])))
        if entry["rows"] != len(made.get("plus", ())):
            problems.append(f"{where}: the journal has another number of cells")
        elif bool(made) != bool(read) or (made and not _same(made, read, limits)):
            problems.append(f"{path.name} does not hold the cells of its block")
        elif not store.has_sum(entry):
            problems.append(f"{path.name} does not have the checksum of the journal")


def _joined(pieces: list[parts.Columns]) -> parts.Columns:
    """Columns of all pieces; rows of unequal length as (indptr, values)."""
    found: parts.Columns = {}
    for name in pieces[0] if pieces else ():
        columns = [piece[name] for piece in pieces]
        if isinstance(columns[0], tuple):
            lengths = np.concatenate([np.diff(indptr) for indptr, _ in columns])
            found[name] = np.concatenate([[0], np.cumsum(lengths)]), np.concatenate([values for _, values in columns])
        else:
            found[name] = np.concatenate(columns)
    return found


def _limits(frame: Frame, part: BlockComplex) -> dict[str, FloatArray]:
    """How far numbers of the same cells lie apart at most: twice their error bounds, by column."""
    cx = part.complex
    if cx is None or not cx.f_vector[0]:
        return {}
    limits = {"A": 2 * map_errors(frame).reshape(1, -1)}
    if not cx.lineality_dimension:  # the bounds are of the quotient's coordinates
        limits["vertices"] = np.full((1, 1), 2 * cx.vertex_errors.max())
    return limits


def _same(a: parts.Columns, b: parts.Columns, limits: dict[str, FloatArray]) -> bool:
    """Whether two parts hold the same cells, in any order."""
    if set(a) != set(b) or a["plus"].shape != b["plus"].shape or a["minus"].shape != b["minus"].shape:
        return False
    orders = [np.lexsort(np.concatenate([part["plus"], part["minus"]], axis=1).T) for part in (a, b)]
    for name in a:
        x, y = (_taken(part[name], order) for part, order in zip((a, b), orders))
        if x.dtype.kind == "f":  # rows of numbers, also of no rows: some formats write matrices row by row
            x, y = (v.reshape(len(v), int(np.prod(v.shape[1:]))) for v in (x, y))
        if x.shape != y.shape:
            return False
        if x.dtype.kind == "f":
            scale = np.maximum(np.abs(x).max(axis=1, initial=0.0), 1e-290)[:, None]
            with np.errstate(invalid="ignore"):
                close = np.abs(x - y) <= np.minimum(CLOSE * scale, limits.get(name, np.inf))
            if not (close | (x == y)).all():
                return False
        elif not np.array_equal(x, y):
            return False
        if isinstance(a[name], tuple):
            sizes = [np.diff(part[name][0])[order] for part, order in zip((a, b), orders)]
            if not np.array_equal(*sizes):
                return False
    return True


def _taken(values: Any, order: Any) -> Any:
    if not isinstance(values, tuple):
        return np.asarray(values)[order]
    indptr, inner = values
    rows = [np.arange(indptr[r], indptr[r + 1]) for r in order.tolist()]
    return np.asarray(inner)[np.concatenate(rows)] if rows else inner[:0]


__all__ = ["verify_cells"]
