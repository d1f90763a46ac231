"""Complexes on disk: one versioned .npz file or Zarr group, read without enumerating and without pickles.

What is believed of an archive are network and domain, and the walls and signs of vertices (of a face lattice, the
facets of faces too), whose structure is checked. Coordinates are a first guess: every vertex is solved anew, and what
is told about it follows from the network. ``certificate.verify`` checks the signs; `verify_archive` is all that can be
checked.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .. import _version
from .._typing import Array
from ..budget import Budget, Monitor
from ..domain import Box, Polyhedron
from ..errors import (
    BudgetExceededError,
    FileFormatError,
    InputError,
    MissingDependencyError,
    MissingFileError,
    PolyfiberError,
)
from ..network.model import ReLUNetwork
from ..network.names import local_path, printable
from ..network.piecewise import PiecewiseLinearNetwork
from ..network.readers.npz import network_of_bytes
from ..network.writers import network_bytes
from ..numerics.digits import check_digits, fraction_of, text_of
from ..numerics.exact import rank
from .blocks.parts import appearing
from .certificate import Verification
from .checks import skeleton as checks
from .complex import PolyhedralComplex
from .containers import only_zarr, parse_json, read_npz, read_zarr, require_zarr, write_npz, write_zarr
from .digests import content_digest, domain_digest, network_digest
from .lattice.archive import get_lattice, put_lattice
from .lattice.build import LatticeSkeleton
from .lattice.merge_walls import MergedWall
from .skeleton.arrays import Frame, make_frame
from .skeleton.build import BuildStats, Skeleton
from .skeleton.layout import unpack

FORMAT = "polyfiber-complex"
FORMAT_VERSION = 3
"""Newest that is read. Complexes of generic ReLU chains are written as version 1, face lattices of chains as 2,
networks of gates as 3: the network is an archive of its own, ``network``."""
COLUMNS = ("star", "words", "x", "err", "slot", "line_err", "at_inf")


def _put(store: dict[str, Array], name: str, values: Array) -> None:
    """Floats as they are, rationals as strings ``p/q``."""
    if values.dtype == object:
        store[name] = np.array([text_of(v) for v in values.ravel()], dtype=np.str_).reshape(values.shape)
    else:
        store[name] = values


def _get(store: dict[str, Array], name: str) -> Array:
    values = store[name]
    if values.dtype.kind != "U":
        return np.asarray(values)
    exact = np.empty(values.shape, dtype=object)
    for index, text in np.ndenumerate(values):
        exact[index] = fraction_of(str(text))
    return exact


def save_complex(cx: PolyhedralComplex, path: Any) -> None:
    """Write a complex; the archive appears under its name only when it is whole."""
    target, kind = local_path(path, "an archive"), archive_format(path)
    with cx._lock:
        if cx.dimension:
            _ = cx.vertices  # solved: what is read again are the same numbers
        store = _arrays(cx)
    try:
        with appearing(target, ours=_is_ours) as temporary:
            _WRITERS[kind](temporary, store)
    except OSError as error:
        raise InputError(f"cannot write the archive {target}: {error.strerror or error}") from None


def _arrays(cx: PolyhedralComplex) -> dict[str, Array]:
    frame, sk = cx._frame, cx._skeleton
    if sk.is_block:
        raise InputError(
            "an archive holds whole complexes; keep the block itself (its path) and run it again, or write_cells"
        )
    store: dict[str, Array] = {}
    wired = isinstance(cx.network, PiecewiseLinearNetwork)
    if wired:
        store["network"] = np.frombuffer(network_bytes(cx.network), dtype=np.uint8)
    else:
        for i, (w, b) in enumerate(zip(cx.network.weights, cx.network.biases)):
            _put(store, f"weight_{i}", w)
            _put(store, f"bias_{i}", b)
    region = "all"
    if isinstance(cx.domain, Box):
        region = "box"
        _put(store, "domain_lo", cx.domain.lo)
        _put(store, "domain_hi", cx.domain.hi)
    elif cx.domain is not None:
        region = "polyhedron"
        _put(store, "domain_A", cx.domain.A)
        _put(store, "domain_b", cx.domain.b)
    store["columns"] = frame.columns
    store["start"] = np.array(frame.start, dtype=np.int64)
    for name in COLUMNS:
        store[name] = np.ascontiguousarray(getattr(sk.state, name)[: sk.nv])
    store["base"], store["base_err"] = sk.state.base[: sk.n_inf], sk.state.base_err[: sk.n_inf]
    if isinstance(sk, LatticeSkeleton) and frame.n:
        put_lattice(store, sk)
    header = {
        "format": FORMAT,
        "format_version": 3 if wired else 1 if cx.is_simple else 2,
        "lattice": not cx.is_simple,
        "polyfiber": _version.__version__,
        "layers": len(cx.network.hidden_widths) + 1,
        "domain": region,
        "f_vector": list(cx.f_vector),
        "source": {k: v for k, v in cx.network.source.items() if isinstance(v, str | int | float | bool)},
        "merged": [list(vars(wall).values()) for wall in cx.merged],
        "zeros": cx.certificate.zeros,
        "stats": {k: v for k, v in vars(sk.stats).items() if isinstance(v, int | float)},
    }
    digests = {
        "network": network_digest(cx.network),
        "domain": domain_digest(cx.domain),
        "content": content_digest({**store, "header": np.array(json.dumps(header))}),
    }
    store["header"] = np.array(json.dumps({**header, "digests": digests}))
    return store


_WRITERS = {"npz": write_npz, "zarr": write_zarr}


def archive_format(path: Any) -> str:
    """``npz`` or ``zarr``, by the name of an archive.

    Raises
    ------
    InputError
        Another suffix, or the name of a directory that is not an archive: it will not be replaced.
    MissingDependencyError
        Zarr without the package zarr.
    """
    target = local_path(path, "an archive")
    kind = target.suffix[1:].lower()
    if kind not in _WRITERS:
        raise InputError(f"the name of an archive ends in .npz or .zarr, found {str(path)!r}")
    if kind == "zarr":
        require_zarr()
    if target.is_dir() and not (kind == "zarr" and _is_ours(target)):
        raise InputError(
            f"{target} is a directory that is not, or not only, an archive of a complex that `save` wrote; choose another name"
        )
    return kind


def _is_ours(path: Path) -> bool:
    """Whether a folder is an archive that `save_complex` wrote, unchanged and with nothing beside it: it may be
    replaced.
    """
    try:
        store = read_zarr(path)
        header = _header(store)
        digests = header.pop("digests")
        content = content_digest({**store, "header": np.array(json.dumps(header))})
        return only_zarr(path, set(store)) and bool(content == digests["content"])
    except Exception:  # whatever a folder of others leads to in zarr and json
        return False


def _is_zarr(path: Path) -> bool:
    return (path / "header" / "zarr.json").is_file()


# ---- reading ------------------------------------------------------------------------------------
def load_complex(path: Any) -> PolyhedralComplex:
    """Read a complex; its structure is checked, its signs are not recomputed (``certificate.verify`` does).

    Raises
    ------
    FileFormatError
        No archive, a damaged one, or one that claims more than its size allows (see `polyfiber.complexes.containers`).
    BudgetExceededError
        More memory than there is.
    """
    file = local_path(path, "an archive")
    try:
        return _loaded(_read(file))
    except FileNotFoundError:
        raise MissingFileError(f"there is no file {file}", path=file) from None
    except MemoryError:
        raise BudgetExceededError(f"reading {file} needs more memory than this process can have") from None
    except (FileFormatError, InputError) as error:
        raise FileFormatError(f"{file} is not a readable archive of a complex: {error}", **error.facts) from None
    except PolyfiberError:
        raise
    except Exception as error:  # what a damaged file may lead to in numpy, zipfile, json and zarr
        text = f"{type(error).__name__}: {printable(str(error))}"
        raise FileFormatError(f"{file} is not a readable archive of a complex: {text}") from None


def _read(file: Path) -> dict[str, Array]:
    if file.is_dir():
        if not _is_zarr(file):
            raise FileFormatError("it is a directory and holds no archive of a complex")
        return read_zarr(file)
    with file.open("rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode) or stream.read(2) != b"PK":
            raise FileFormatError("it is no archive of a complex; expected a file that save wrote")
    return read_npz(file)


def _loaded(store: dict[str, Array]) -> PolyhedralComplex:
    check_digits(store.values())
    header = _header(store)
    network = _network(header, store)
    domain: Polyhedron | None = None
    if header["domain"] == "box":
        domain = Box(_get(store, "domain_lo"), _get(store, "domain_hi"))
    elif header["domain"] == "polyhedron":
        domain = Polyhedron(_get(store, "domain_A"), _get(store, "domain_b"))
    elif header["domain"] != "all":
        raise FileFormatError(f"a domain of kind {header['domain']!r}; expected all, box or polyhedron")
    _compare_digests(header, store, network, domain)
    frame = _frame(store, network, domain)
    skeleton = LatticeSkeleton(frame, Monitor()) if header.get("lattice", False) else Skeleton(frame, Monitor())
    if frame.n:
        _fill(skeleton, store)
    elif isinstance(skeleton, LatticeSkeleton) and not _is_on_a_wall(frame):
        raise FileFormatError("damaged: one point on no wall, written as a face lattice")
    skeleton.stats = _stats(header)
    skeleton.finish()
    if isinstance(skeleton, LatticeSkeleton):
        skeleton.exact_zeros = int(header.get("zeros", 0))
    cx = PolyhedralComplex(frame, skeleton, merged=tuple(MergedWall(*wall) for wall in header.get("merged", ())))
    if "f_vector" in header and header["f_vector"] != list(cx.f_vector):
        raise FileFormatError(f"damaged: its vertices have the f-vector {cx.f_vector}, it claims {header['f_vector']}")
    return cx


def _network(header: dict[str, Any], store: dict[str, Array]) -> ReLUNetwork | PiecewiseLinearNetwork:
    if "network" in store:
        if store["network"].dtype != np.uint8:
            raise FileFormatError("damaged: its network is no archive")
        network = network_of_bytes(store["network"].tobytes())
        if not isinstance(network, PiecewiseLinearNetwork):
            raise FileFormatError("damaged: its network is not one of gates")
        return network
    layers = range(int(header["layers"]))
    return ReLUNetwork(
        [_get(store, f"weight_{i}") for i in layers],
        [_get(store, f"bias_{i}") for i in layers],
        source=header.get("source"),
    )


def _header(store: dict[str, Array]) -> dict[str, Any]:
    if "header" not in store:
        raise FileFormatError("it is no archive of a complex: it has no header")
    header = parse_json(str(store["header"]))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else type(header).__name__
        raise FileFormatError(f"it holds {found!r}, expected {FORMAT!r}")
    version, layers = header.get("format_version"), header.get("layers")
    if type(version) is not int or type(layers) is not int or not isinstance(header.get("source", {}), dict | None):
        raise FileFormatError("the header is damaged")
    if version > FORMAT_VERSION:
        raise FileFormatError(f"format version {version}; this polyfiber reads up to {FORMAT_VERSION}: upgrade it")
    return header


def _compare_digests(
    header: dict[str, Any],
    store: dict[str, Array],
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None,
) -> None:
    """Of archives that have them; older ones have none."""
    digests = header.get("digests")
    if digests is None:
        return
    rest = {k: v for k, v in header.items() if k != "digests"}
    found = {
        "network": network_digest(network),
        "domain": domain_digest(domain),
        "content": content_digest({**store, "header": np.array(json.dumps(rest))}),
    }
    wrong = [name for name, value in found.items() if not isinstance(digests, dict) or digests.get(name) != value]
    if wrong:
        raise FileFormatError(f"damaged: the digest of its {wrong[0]} is not that of its header")


def _stats(header: dict[str, Any]) -> BuildStats:
    given, stats = header.get("stats", {}), BuildStats()
    if not isinstance(given, dict) or not all(name.isidentifier() and name[0] != "_" for name in given):
        raise FileFormatError("damaged: its statistics are none")
    for name, value in vars(stats).items():
        found = given.get(name, value)
        if type(found) not in (int, float) or not 0 <= found < 2**63:
            raise FileFormatError(f"damaged: {name} is {found!r}")
        setattr(stats, name, type(value)(found))
    return stats


def _frame(store: dict[str, Array], network: ReLUNetwork | PiecewiseLinearNetwork, domain: Polyhedron | None) -> Frame:
    """The frame of network and domain, in the coordinates of the archive if these are independent."""
    frame = make_frame(network, domain)
    flat = True
    if frame.hull is not None and np.shape(store["columns"]) != (frame.n,):  # written when flats were not known
        flat, frame = False, make_frame(network, domain, flat=False)
    columns, start = (np.asarray(store[name]) for name in ("columns", "start"))
    if columns.dtype.kind not in "iu" or start.dtype.kind not in "iu" or not columns.shape == start.shape == (frame.n,):
        raise FileFormatError("damaged: coordinates that do not fit the network")
    if np.array_equal(columns, frame.columns) and tuple(start.tolist()) == frame.start:
        return frame
    inside = (columns >= 0).all() and (columns < network.architecture[0]).all()
    if not (inside and (start >= 0).all() and (start < frame.n_domain + frame.n_neurons).all()) or (
        rank(frame.chart_of(start.tolist())[:, columns]) < frame.n
    ):
        raise FileFormatError("damaged: coordinates that are not independent")
    return make_frame(network, domain, basis=(columns, start), flat=flat)


def _fill(skeleton: Skeleton, store: dict[str, Array]) -> None:
    """Vertices of an archive, with coordinates that are solved anew."""
    frame = skeleton.frame
    nv, n_inf = len(store["star"]), len(store["base"])
    if not nv:
        raise FileFormatError("damaged: it has no vertex")
    for name, size in (*((name, nv) for name in COLUMNS), ("base", n_inf), ("base_err", n_inf)):
        column, found = getattr(skeleton.state, name), store[name]
        if found.shape != (size, *column.shape[1:]) or found.dtype != column.dtype:
            raise FileFormatError(
                f"damaged: {name} is {found.dtype} of shape {found.shape}, expected {column.dtype} of {(size, *column.shape[1:])}"
            )
    stored = store["x"]
    empty = np.empty((n_inf, frame.n))
    skeleton.fill({"star": store["star"], "words": store["words"], "at_inf": store["at_inf"], "base": empty})
    problems: list[str] = []
    lattice = isinstance(skeleton, LatticeSkeleton)
    fits = checks.in_range(skeleton, problems, edges=not lattice)
    if fits and isinstance(skeleton, LatticeSkeleton):
        get_lattice(store, skeleton)
    elif fits:
        checks.check_edges(skeleton, problems)
    if problems:
        raise FileFormatError(f"damaged: {problems[0]}")
    _solve(skeleton, stored)
    if not lattice:
        skeleton.orient_anew()


def _is_on_a_wall(frame: Frame) -> bool:
    """Whether a neuron vanishes at the only point there is (for networks of gates this is not asked)."""
    if frame.form is not None:
        return True
    n0 = frame.network.architecture[0]
    x = np.full(n0, Fraction(0), dtype=object) if frame.hull is None else frame.hull.lift[:, -1]
    return any(v == 0 for z in frame.network.exact().preactivations(x)[:-1] for v in z)


def _solve(skeleton: Skeleton, stored: Array) -> None:
    """Coordinates from walls and signs alone; those that were stored stay where the error bound cannot tell them apart.

    A ray is looked for along the sum of the starting facets' normals, each to the side where the ray's end lies: no
    direction of the cell is orthogonal to it.
    """
    st, nv, n, start = skeleton.state, skeleton.nv, skeleton.frame.n, list(skeleton.frame.start)
    far = st.at_inf[:nv] >= 0
    normals = skeleton.frame.given(start)[:, :n]
    with np.errstate(all="ignore"):
        normals = normals / np.abs(normals).max(axis=1, keepdims=True)
        sides = np.where(unpack(st.words[:nv][far])[:, start], 1.0, -1.0)
        zero = (st.star[:nv, None, 2 * n :][far] == np.array(start)[None, :, None]).any(axis=2)
        st.x[:nv], st.base[:] = 0.0, 0.0
        st.x[:nv][far] = np.where(zero, 0.0, sides) @ normals
        for _ in range(2):
            checks.solve_anew(skeleton)
        x, err = st.x[:nv], st.err[:nv]
        # the length of a direction says nothing
        factor = np.where(far, np.abs(stored).max(axis=1) / np.abs(x).max(axis=1), 1.0)
        off = np.abs(x * factor[:, None] - stored).max(axis=1)
        same = off <= err * factor
        st.x[:nv][same], st.err[:nv][same] = stored[same], (err * factor + off)[same]


# ---- verifying ----------------------------------------------------------------------------------
def verify_archive(
    path: Any,
    *,
    network: ReLUNetwork | PiecewiseLinearNetwork | None = None,
    domain: Any = ...,
    budget: Budget | None = None,
) -> Verification:
    """Whether an archive holds the complex of its network on its domain: everything is computed again by other code.

    Parameters
    ----------
    path : str or Path
    network, domain : optional
        What it must be the complex of; by default, whatever network and domain it holds.
    budget : Budget, optional

    Returns
    -------
    Verification
        Whatever the file is: a ``verdict`` with reasons, never an exception. What `BuildStats` says about how the
        complex was made is not checked; it cannot be told from the complex.

    Examples
    --------
    >>> import tempfile, polyfiber as pf
    >>> from polyfiber.complexes.archive import verify_archive
    >>> with tempfile.TemporaryDirectory() as place:
    ...     pf.canonical_complex(pf.ReLUNetwork.random((2, 5, 1), rng=0)).save(place + "/c.npz")
    ...     verify_archive(place + "/c.npz").verdict, verify_archive(place + "/absent.npz").verdict
    (<Verdict.YES: 'yes'>, <Verdict.NO: 'no'>)
    """
    try:
        cx = load_complex(path)
    except (BudgetExceededError, MissingDependencyError) as error:
        return Verification(False, 0, 0, 0, 0, 0, unfinished=(str(error),))
    except PolyfiberError as error:
        return Verification(False, 0, 0, 0, 0, 0, (str(error),))
    other = []
    if network is not None and network != cx.network:
        other.append("it is the complex of another network")
    if domain is not ... and domain_digest(domain) != domain_digest(cx.domain):
        other.append("it is the complex on another domain")
    found = cx.certificate.verify(everything=True, budget=budget)
    return replace(found, ok=found.ok and not other, problems=(*other, *found.problems))


__all__ = ["load_complex", "save_complex", "verify_archive"]
