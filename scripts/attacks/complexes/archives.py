"""Change one entry of an archive: is it noticed, or does everything that can be asked stay the same?

    python scripts/attacks/complexes/archives.py [--count 500] [--seconds 60] [--seed 0]

Six kinds of archives: simple complexes on all of Rⁿ, on boxes, face lattices of degenerate networks, flat domains,
networks of huge, subnormal and nearly equal rows, and cell stores (npz and Zarr). A change is one array entry (numbers are moved by an ulp, by 1, negated, set to 0 or to
another entry's value; bits are flipped) or one number of the header or the journal. Every digest is made again after the
change, as an attacker would, so what is tested is the check itself; ``--digests`` leaves them as they are.

A change is right if loading refuses it, or the verification does not say YES, or every public accessor returns what it
returned before (numbers with bounds: within the bounds). The truth is the complex that was saved.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import polyfiber as pf
from polyfiber.complexes.archive import verify_archive
from polyfiber.complexes.blocks.parts import checksum
from polyfiber.complexes.blocks.verify import verify_cells
from polyfiber.complexes.digests import content_digest, domain_digest, network_digest

KINDS = ("simple", "box", "lattice", "flat", "hostile", "cells")
PROVENANCE = ("stats", "polyfiber", "source", "merged", "zeros")
"""Parts of the header that say how an archive was made: nothing in the complex tells whether they are right."""


def network(rng: np.random.Generator, kind: str) -> tuple[pf.ReLUNetwork, pf.Polyhedron | None]:
    n = int(rng.integers(1, 4))
    widths = (
        n,
        int(rng.integers(2, 6)),
        *([int(rng.integers(1, 4))] if rng.random() < 0.7 else []),
        int(rng.integers(1, 3)),
    )
    shapes = list(zip(widths[1:], widths[:-1]))
    if kind in ("lattice", "flat"):
        weights = [np.round(rng.standard_normal(s) * 2) / 2 for s in shapes]
        biases = [np.round(rng.standard_normal(s[0])) / 2 * (rng.random() < 0.7) for s in shapes]
    else:
        weights, biases = [rng.standard_normal(s) for s in shapes], [rng.standard_normal(s[0]) for s in shapes]
    if kind == "hostile":
        make_hostile(rng, weights, biases)
    net = pf.ReLUNetwork(weights, biases)
    if kind == "flat":
        normal = np.zeros(n)
        normal[int(rng.integers(n))] = 1.0
        box = np.concatenate([np.eye(n), -np.eye(n), [normal, -normal]])
        return net, pf.Polyhedron(box, np.concatenate([np.full(2 * n, 2.0), [0.5, -0.5]]))
    if kind == "box" or (kind in ("lattice", "cells") and rng.random() < 0.5):
        return net, pf.Box(-1 - rng.random(n), 1 + rng.random(n))
    return net, None


def make_hostile(rng: np.random.Generator, weights: list[np.ndarray], biases: list[np.ndarray]) -> None:
    """Rows of huge and of subnormal size, repeated, and apart in the last digits; in place."""
    for W, b in zip(weights[:-1], biases):
        for i in range(len(b)):
            choice, j = rng.integers(5), int(rng.integers(len(b)))
            if choice == 0:
                W[i], b[i] = W[j], b[j] * (1 + float(rng.choice([0.0, 2.0**-52, 1e-14, 1e-9])))
            elif choice == 1:
                size = 2.0 ** float(rng.choice([-1060, -700, -300, 300]))
                W[i], b[i] = W[i] * size, b[i] * size
            elif choice == 2:
                b[i] = b[i] * 2.0 ** float(rng.choice([-1060, -200, 200]))


# ---- changing -----------------------------------------------------------------------------------
def changed(rng: np.random.Generator, array: np.ndarray) -> np.ndarray | None:
    """A copy with one other entry; None where there is nothing to change."""
    if not array.size:
        return None
    new = array.copy()
    at = tuple(int(rng.integers(s)) for s in array.shape)
    kind = array.dtype.kind
    if kind == "b":
        new[at] = not new[at]
    elif kind == "f":
        old = float(array[at])
        others = (
            np.nextafter(old, np.inf),
            old + 1.0,
            old - 0.25,
            -old,
            0.0,
            float(rng.choice(array.ravel())),
            old * 1.0001,
            np.nan,
        )
        new[at] = others[int(rng.integers(len(others)))]
    elif kind in "iu":
        if rng.random() < 0.5:
            raw = new.reshape(-1).view(np.uint8)
            raw[int(rng.integers(raw.size))] ^= np.uint8(1 << int(rng.integers(8)))
        else:
            new[at] = rng.choice(array.ravel())
    elif kind == "U":
        new[at] = str(rng.choice(["0", "1/3", "-7", "1/0", "x"]))
    return None if new.tobytes() == array.tobytes() else new


def changed_number(rng: np.random.Generator, data: Any, *, skip: tuple[str, ...] = ()) -> bool:
    """Change one number somewhere in nested data, in place."""
    spots: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = [(k, v) for k, v in node.items() if k not in skip] if isinstance(node, dict) else list(enumerate(node))
        for key, value in items:
            if isinstance(value, dict | list):
                walk(value)
            elif isinstance(value, int | float | str | bool):
                spots.append((node, key))

    walk(data)
    if not spots:
        return False
    node, key = spots[int(rng.integers(len(spots)))]
    old = node[key]
    if isinstance(old, bool):
        node[key] = not old
    elif isinstance(old, int | float):
        node[key] = old + int(rng.choice([-1, 1, 1000]))
    else:
        node[key] = old[:-1] + ("0" if old[-1:] != "0" else "1")
    return True


def signed_again(store: dict[str, np.ndarray]) -> None:
    """Make the digests of an archive anew, of whatever it holds now."""
    header = json.loads(str(store["header"]))
    rest = {k: v for k, v in header.items() if k != "digests"}
    layers = range(rest["layers"])
    try:
        net = pf.ReLUNetwork([store[f"weight_{i}"] for i in layers], [store[f"bias_{i}"] for i in layers])
        domain: pf.Polyhedron | None = None
        if rest["domain"] == "box":
            domain = pf.Box(store["domain_lo"], store["domain_hi"])
        elif rest["domain"] == "polyhedron":
            domain = pf.Polyhedron(store["domain_A"], store["domain_b"])
    except (pf.errors.PolyfiberError, KeyError):
        return  # no digest can help it
    content = content_digest({**store, "header": np.array(json.dumps(rest))})
    digests = {"network": network_digest(net), "domain": domain_digest(domain), "content": content}
    store["header"] = np.array(json.dumps({**rest, "digests": digests}))


# ---- comparing ----------------------------------------------------------------------------------
def same(a: pf.PolyhedralComplex, b: pf.PolyhedralComplex) -> bool:
    """Whether every public accessor returns the same, up to the order of faces (another starting cone gives another)."""
    if a.network != b.network or domain_digest(a.domain) != domain_digest(b.domain):
        return False
    if (a.f_vector, a.is_simple, a.lineality_dimension) != (b.f_vector, b.is_simple, b.lineality_dimension):
        return False
    orders = [[np.lexsort(cx.signs(d).T) for d in range(cx.dimension + 1)] for cx in (a, b)]
    ranks = [[np.argsort(order) for order in own] for own in orders]
    for d, (p, q) in enumerate(zip(*orders)):
        if not np.array_equal(a.signs(d)[p], b.signs(d)[q]) or not np.array_equal(
            a.is_unbounded(d)[p], b.is_unbounded(d)[q]
        ):
            return False
        if d < a.dimension and not np.array_equal(*(covers(cx, d, own) for cx, own in zip((a, b), ranks))):
            return False
    p, q = orders[0][0], orders[1][0]
    with np.errstate(all="ignore"):
        slack = 2 * (a.vertex_errors[p] + b.vertex_errors[q]) + 1e-12
        x, y = a.vertices[p], b.vertices[q]  # beyond floats they are infinite
        near = (x == y) | (np.abs(x - y) <= slack[:, None])
    if not near.all():
        return False
    close = (
        [(x[orders[0][-1]], y[orders[1][-1]]) for x, y in zip(a.affine_maps(), b.affine_maps())] if a.n_regions else []
    )
    if a.dimension:
        close += [
            tuple(ends(cx, own) for cx, own in zip((a, b), ranks)),
            tuple(directions(cx, own) for cx, own in zip((a, b), orders)),
        ]
    if a.dimension and a.n_regions:
        found = [weights(cx, own[-2]) for cx, own in zip((a, b), orders)]
        close.append((found[0], found[1]))
    return all(x.shape == y.shape and are_close(x, y) for x, y in close)


def are_close(x: np.ndarray, y: np.ndarray) -> bool:
    """Up to rounding of the largest finite entry, or 1 where that is more; infinite ones are equal."""
    largest = np.abs(x[np.isfinite(x)]).max(initial=0.0) if x.dtype.kind == "f" else 1.0
    return bool(np.allclose(x, y, rtol=1e-7, atol=1e-9 * min(1.0, largest), equal_nan=True))


def covers(cx: pf.PolyhedralComplex, dim: int, ranks: list[np.ndarray]) -> np.ndarray:
    indptr, indices = cx._store.covers_above(dim)
    face = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return np.unique(np.stack([ranks[dim][face], ranks[dim + 1][indices]], axis=1), axis=0)


def ends(cx: pf.PolyhedralComplex, ranks: list[np.ndarray]) -> np.ndarray:
    """Sorted ends of each edge, edges in the order of their signs; -1 for infinity."""
    new = np.where(cx.edges >= 0, ranks[0][cx.edges], -1)
    return np.sort(new, axis=1)[np.argsort(ranks[1])]


def directions(cx: pf.PolyhedralComplex, orders: list[np.ndarray]) -> np.ndarray:
    """Direction of each edge that is a ray, 0 of others, in the order of their signs."""
    ids, rays = cx.rays
    full = np.zeros((cx.f_vector[1], cx.network.architecture[0]))
    full[ids] = rays
    return full[orders[1]]


def weights(cx: pf.PolyhedralComplex, order: np.ndarray) -> np.ndarray:
    """Weight of each facet, 0 where the function does not bend."""
    bp = cx.breakpoint_complex()
    full = np.zeros((cx.f_vector[-2], bp.weights.shape[1]))
    full[bp.facets] = bp.weights
    return full[order]


def right_archive(rng: np.random.Generator, kind: str, folder: Path, tries: int, digests: bool) -> list[str]:
    """Names of the entries whose change was not noticed though something else came back; one per try."""
    net, domain = network(rng, kind)
    cx = pf.canonical_complex(net, domain)
    path = folder / "complex.npz"
    cx.save(path)
    with np.load(path) as file:
        whole = {name: file[name] for name in file.files}
    wrong = []
    for _ in range(tries):
        store = dict(whole)
        name = str(rng.choice(sorted(store)))
        if name == "header":
            header = json.loads(str(store["header"]))
            if not changed_number(rng, header, skip=("digests", *PROVENANCE)):
                continue
            store["header"] = np.array(json.dumps(header))
        else:
            new = changed(rng, store[name])
            if new is None:
                continue
            store[name] = new
        if not digests:
            signed_again(store)
        np.savez(path, **store)
        found = verify_archive(path, network=net, domain=domain)
        wrong.append("" if not found.ok or same(cx, pf.PolyhedralComplex.load(path)) else f"{kind} {name}")
    return wrong


def right_cells(rng: np.random.Generator, folder: Path, tries: int) -> list[str]:
    """The same for a store of cells: one entry of a part, of the manifest, of the journal, or of the network."""
    net, domain = network(rng, "cells")
    store = folder / "cells"
    fmt = str(rng.choice(["npz", "zarr"]))
    pf.write_cells(net, store, domain, file_format=fmt, maps=True, vertices=True)
    truth = cells_of(store)
    wrong = []
    for _ in range(tries):
        place = folder / "changed"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(store, place)
        what = str(rng.choice(["part", "journal", "manifest"]))
        if what == "manifest":
            data = json.loads((place / "manifest.json").read_text())
            changed_number(rng, data, skip=("polyfiber", "decisions"))
            (place / "manifest.json").write_text(json.dumps(data))
        elif what == "journal":
            lines = (place / "blocks.jsonl").read_text().splitlines()
            at = int(rng.integers(len(lines)))
            data = json.loads(lines[at])
            changed_number(rng, data, skip=("decisions", "seconds", "expected", "verified", "vertices"))
            lines[at] = json.dumps(data)
            (place / "blocks.jsonl").write_text("\n".join(lines) + "\n")
        elif not change_part(rng, place, fmt):
            continue
        elif rng.random() < 0.8:
            sign_parts(place)
        found = verify_cells(place, network=net, domain=domain)
        if not found.ok:
            wrong.append("")
            continue
        try:
            again = cells_of(place)
        except pf.errors.PolyfiberError:
            again = None
        wrong.append("" if again is not None and same_cells(again, truth) else f"cells {fmt} {what}")
    return wrong


def change_part(rng: np.random.Generator, place: Path, fmt: str) -> bool:
    parts = sorted((place / "cells").iterdir())
    if not parts:
        return False
    part = parts[int(rng.integers(len(parts)))]
    if fmt == "npz":
        with np.load(part) as file:
            arrays = {k: file[k] for k in file.files}
        name = str(rng.choice(sorted(arrays)))
        new = changed(rng, arrays[name])
        if new is None:
            return False
        np.savez(part, **{**arrays, name: new})
        return True
    import zarr

    group = zarr.open_group(str(part), mode="r+")
    name = str(rng.choice(sorted(group.array_keys())))
    new = changed(rng, np.asarray(group[name][...]))
    if new is None:
        return False
    group[name][...] = new
    return True


def sign_parts(place: Path) -> None:
    """A journal with the checksums of the parts as they are now."""
    lines = [json.loads(line) for line in (place / "blocks.jsonl").read_text().splitlines()]
    for entry in (entry for line in lines for entry in line["files"].values()):
        entry["sha256"] = checksum(place / "cells" / entry["name"])
    (place / "blocks.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def cells_of(place: Path) -> tuple[Any, list[np.ndarray]]:
    """What must be equal, and numbers that must be equal up to the last bits."""
    store = pf.read_cells(place)
    exact, numbers = [], []
    for c in store.cells(store.dims[-1]):
        exact.append((c.signs.tolist(), c.unbounded.tolist(), c.vertices[0].tolist(), c.rays[0].tolist()))  # type: ignore[index,union-attr]
        numbers += [c.A, c.a, c.vertices[1], c.rays[1]]  # type: ignore[index,list-item]
    total = store.total()
    facts = (total.f_vector, total.bounded, total.complete, total.fingerprints, store.dims, store.n_columns)
    return (exact, facts), numbers


def same_cells(a: tuple[Any, list[np.ndarray]], b: tuple[Any, list[np.ndarray]]) -> bool:
    close = (x.shape == y.shape and np.allclose(x, y, rtol=1e-8, atol=1e-8) for x, y in zip(a[1], b[1]))
    return bool(a[0] == b[0] and len(a[1]) == len(b[1]) and all(close))


# ---- all ----------------------------------------------------------------------------------------
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="changes of each kind")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--digests", action="store_true", help="leave the digests as they were")
    options = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        for k, kind in enumerate(KINDS):
            rng = np.random.default_rng([options.seed, k])
            end, outcomes = time.monotonic() + options.seconds / len(KINDS), []
            while len(outcomes) < options.count and time.monotonic() < end:
                folder = Path(tempfile.mkdtemp(dir=name))
                if kind == "cells":
                    outcomes += right_cells(rng, folder, 20)
                else:
                    outcomes += right_archive(rng, kind, folder, 20, options.digests)
                shutil.rmtree(folder)
            missed = [o for o in outcomes if o]
            bad += len(missed)
            print(f"{kind:8} {len(outcomes):6} changes, {len(missed)} missed {sorted(set(missed))[:8]}", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
