"""Complexes on disk: one versioned .npz file or Zarr group, read without recomputing and without pickles."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _version
from .._typing import Array
from ..budget import Monitor
from ..domain import Box, Polyhedron
from ..errors import FileFormatError, InputError, PolyfiberError
from ..network.model import ReLUNetwork
from .blocks.parts import DAMAGE, appearing, require_zarr
from .certificate import check_structure
from .lattice.archive import get_lattice, put_lattice
from .lattice.build import LatticeSkeleton
from .skeleton import build
from .skeleton import layout as records
from .skeleton.arrays import make_frame

if TYPE_CHECKING:
    from .complex import PolyhedralComplex

FORMAT = "polyfiber-complex"
FORMAT_VERSION = 2
"""Newest that is read. Complexes of generic networks are written as version 1, face lattices as 2."""
CHUNK = 1 << 16
"""Rows of a chunk in Zarr."""


def _put(store: dict[str, Array], name: str, values: Array) -> None:
    """Floats as they are, rationals as strings ``p/q``."""
    if values.dtype == object:
        store[name] = np.array([str(Fraction(v)) for v in values.ravel()], dtype=np.str_).reshape(values.shape)
    else:
        store[name] = values


def _get(store: Any, name: str) -> Array:
    values = store[name]
    if values.dtype.kind != "U":
        return np.asarray(values)
    exact = np.empty(values.shape, dtype=object)
    for index, text in np.ndenumerate(values):
        exact[index] = Fraction(str(text))
    return exact


def save_complex(cx: PolyhedralComplex, path: Any) -> None:
    """Write a complex; the archive appears under its name only when it is whole."""
    target, kind = Path(path), archive_format(path)
    frame, sk = cx._frame, cx._skeleton
    if sk.is_block:
        raise InputError(
            "an archive holds whole complexes; keep the block itself (its path) and run it again, or write_cells"
        )
    store: dict[str, Array] = {}
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
    st, nv, n_inf = sk.state, sk.nv, sk.n_inf
    for name in ("star", "words", "x", "err", "slot", "line_err", "at_inf"):
        store[name] = np.ascontiguousarray(getattr(st, name)[:nv])
    store["base"], store["base_err"] = st.base[:n_inf], st.base_err[:n_inf]
    if isinstance(sk, LatticeSkeleton) and frame.n:
        put_lattice(store, sk)
    header = {
        "format": FORMAT,
        "format_version": 1 if cx.is_simple else 2,
        "lattice": not cx.is_simple,
        "polyfiber": _version.__version__,
        "layers": len(cx.network.weights),
        "domain": region,
        "f_vector": list(cx.f_vector),
        "source": {k: v for k, v in cx.network.source.items() if isinstance(v, str | int | float | bool)},
        "stats": {k: v for k, v in vars(sk.stats).items() if isinstance(v, int | float)},
    }
    store["header"] = np.array(json.dumps(header))
    try:
        with appearing(target) as temporary:
            _WRITERS[kind](temporary, store)
    except OSError as error:
        raise InputError(f"cannot write the archive {target}: {error.strerror or error}") from None


def archive_format(path: Any) -> str:
    """``npz`` or ``zarr``, by the name of an archive.

    Raises
    ------
    InputError
        Another suffix, or the name of a directory that is not an archive: it will not be replaced.
    MissingDependencyError
        Zarr without the package zarr.
    """
    target = Path(path)
    kind = target.suffix[1:].lower()
    if kind not in _WRITERS:
        raise InputError(f"the name of an archive ends in .npz or .zarr, found {str(path)!r}")
    if kind == "zarr":
        require_zarr()
    if target.is_dir() and not (kind == "zarr" and _is_zarr(target)):
        raise InputError(f"{target} is a directory and holds no archive of a complex; choose another name")
    return kind


def _is_zarr(path: Path) -> bool:
    return (path / "header" / "zarr.json").is_file()


def _write_npz(path: Path, store: dict[str, Array]) -> None:
    with path.open("wb") as stream:
        np.savez_compressed(stream, **store)  # type: ignore[arg-type]


def _write_zarr(path: Path, store: dict[str, Array]) -> None:
    """An array each; texts, for which Zarr has no settled type, as bytes of lines with their shape as an attribute."""
    group = require_zarr().open_group(str(path), mode="w", zarr_format=3)
    for name, values in store.items():
        texts = values.dtype.kind == "U"
        data = np.frombuffer("\n".join(values.ravel().tolist()).encode(), dtype=np.uint8) if texts else values
        chunks = tuple(max(1, min(s, CHUNK)) for s in data.shape)
        array = group.create_array(name, shape=data.shape, chunks=chunks, dtype=data.dtype)
        array[...] = data
        if texts:
            array.attrs["texts"] = list(values.shape)


def _read_zarr(path: Path) -> dict[str, Array]:
    group = require_zarr().open_group(str(path), mode="r")
    store: dict[str, Array] = {}
    for name, array in group.arrays():
        store[name] = np.asarray(array[...])
        if "texts" in array.attrs:
            lines = store[name].tobytes().decode().split("\n") if store[name].size else []
            store[name] = np.array(lines, dtype=np.str_).reshape(tuple(array.attrs["texts"]))
    return store


_WRITERS = {"npz": _write_npz, "zarr": _write_zarr}


def load_complex(path: Any) -> PolyhedralComplex:
    """Read a complex; its structure is checked, its signs are not recomputed (``certificate.verify`` does)."""
    from .complex import PolyhedralComplex

    file = Path(path)
    try:
        if file.is_dir():
            if not _is_zarr(file):
                raise FileFormatError(f"{file} is a directory and holds no archive of a complex")
            return PolyhedralComplex(*_parse(_read_zarr(file), file))
        with file.open("rb") as stream:
            if stream.read(2) != b"PK":
                raise FileFormatError(f"{file} is no archive of a complex; expected a file that save wrote")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as store:
                return PolyhedralComplex(*_parse(store, file))
    except FileNotFoundError:
        raise FileFormatError(f"there is no file {file}") from None
    except PolyfiberError:
        raise
    except DAMAGE as error:
        raise FileFormatError(f"{file} is not a readable archive of a complex: {error}") from None


def _parse(store: Any, file: Path) -> tuple[Any, build.Skeleton]:
    if "header" not in store:
        raise FileFormatError(f"{file} is no archive of a complex: it has no header")
    header = json.loads(str(store["header"]))
    if header.get("format") != FORMAT:
        raise FileFormatError(f"{file} holds {header.get('format')!r}, expected {FORMAT!r}")
    if int(header["format_version"]) > FORMAT_VERSION:
        raise FileFormatError(
            f"{file} has format version {header['format_version']}; this polyfiber reads up to {FORMAT_VERSION}: upgrade it"
        )
    layers = range(int(header["layers"]))
    network = ReLUNetwork(
        [_get(store, f"weight_{i}") for i in layers],
        [_get(store, f"bias_{i}") for i in layers],
        source=header.get("source"),
    )
    domain: Polyhedron | None = None
    if header["domain"] == "box":
        domain = Box(_get(store, "domain_lo"), _get(store, "domain_hi"))
    elif header["domain"] == "polyhedron":
        domain = Polyhedron(_get(store, "domain_A"), _get(store, "domain_b"))
    frame = make_frame(network, domain, basis=(store["columns"], store["start"]))
    lattice = bool(header.get("lattice", False))
    skeleton = LatticeSkeleton(frame, Monitor()) if lattice else build.Skeleton(frame, Monitor())
    star = store["star"]
    nv, n_inf = len(star), len(store["base"])
    if frame.n:
        state = records.new_state(frame, max(1, nv), max(1, n_inf))
        for name in ("star", "words", "x", "err", "slot", "line_err", "at_inf"):
            column = getattr(state, name)
            if store[name].shape != (nv, *column.shape[1:]):
                raise FileFormatError(
                    f"{file}: {name} has shape {store[name].shape}, expected {(nv, *column.shape[1:])}"
                )
            column[:nv] = store[name]
        state.base[:n_inf] = store["base"]
        state.base_err[:n_inf] = store["base_err"]
        skeleton.state, skeleton.nv, skeleton.n_inf = state, nv, n_inf
        if ((star[:, 2 * frame.n :] < 0) | (star[:, 2 * frame.n :] > frame.net.inf)).any():
            raise FileFormatError(f"{file}: facet ids out of range")
        rays = (star[:, 2 * frame.n :] == frame.net.inf).any(axis=1)
        if (rays != (store["at_inf"] >= 0)).any() or (store["at_inf"] >= max(1, n_inf)).any():
            raise FileFormatError(f"{file}: vertices at infinity are inconsistent")
        if isinstance(skeleton, LatticeSkeleton):
            get_lattice(store, skeleton, file)
        problems = [] if lattice else check_structure(skeleton)
        if problems:
            raise FileFormatError(f"{file} is damaged: {problems[0]}")
        if not lattice:
            skeleton.orient_anew()
    for key, value in header.get("stats", {}).items():
        setattr(skeleton.stats, key, value)
    skeleton.finish()
    return frame, skeleton
