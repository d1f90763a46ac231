"""Attack what is stored: archives of complexes (npz, Zarr), stores of cells, tables of datasets, collections in Parquet.

    python scripts/attacks/files/stores.py [--count 500] [--seed 0] [--kinds npz,zarr,cells-npz,cells-zarr,cells-parquet,table,collection]

A damaged copy must be refused with one error of ours, or read with the values that numpy, zarr or pyarrow find in it,
whatever is asked of it afterwards, in a process with 4 GB of memory and 20 s of processor time. Damage is done to bytes, to
JSON, to entries of zip archives (with right checksums) and to arrays (other shapes, types and entries, with right
digests). A table of a dataset is signed again, in its record, the manifest and the sums: where `validate` then finds
nothing, all columns that are derived again must be what they were. ``archives.py`` asks whether *changed* archives are noticed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from mutants import damage, damaged_array, damaged_text, damaged_zip, isolated

sys.path.insert(0, str(Path(__file__).parents[3]))

import polyfiber as pf
from polyfiber.errors import PolyfiberError
from scripts.attacks.complexes import archives
from tests.oracles.footers import lying

KINDS = ("npz", "zarr", "cells-npz", "cells-zarr", "cells-parquet", "table", "collection")
VARIANTS = ("simple", "box", "lattice", "flat")
SPEC = """name = "m"
seed = 3
partition = 3
[[networks]]
name = "a"
kind = "random"
architecture = [2, 3, 1]
count = 4
domain = [-1.0, 1.0]
[[networks]]
kind = "perturbed"
of = "a"
noise = [1e-2]
[tables.complexes]
[tables.cells]
volumes = true
[tables.fibers]
"""


def prepare(kind: str, home: Path, variant: int, seed: int) -> None:
    """Something whole to damage."""
    rng = np.random.default_rng([seed, variant, 5])
    home.mkdir(parents=True)
    if kind in ("npz", "zarr"):
        net, domain = archives.network(rng, VARIANTS[variant % len(VARIANTS)])
        pf.canonical_complex(net, domain).save(home / f"c.{kind}")
    elif kind.startswith("cells"):
        net, domain = archives.network(rng, "cells")
        pf.write_cells(net, home / "c", domain, file_format=kind[6:], maps=True, vertices=True)  # type: ignore[arg-type]
    elif kind == "table":
        from polyfiber.datasets import run

        (home / "s.toml").write_text(SPEC.replace("seed = 3", f"seed = {3 + variant}"))
        run(home / "s.toml", home / "d", workers=0)
    else:
        from polyfiber.equivalence.collections.collection import write_parquet

        widths = [(2, 3, 1), (2, 3, 1), (1, 4, 2, 1), (2, 3, 1), (1, 4, 2, 1)]
        write_parquet([pf.ReLUNetwork.random(w, rng=rng) for w in widths], home / "n.parquet")


# ---- damage -------------------------------------------------------------------------------------
def damage_file(path: Path, rng: np.random.Generator) -> None:
    data = path.read_bytes()
    texts = path.suffix in (".json", ".jsonl")
    if path.suffix == ".npz" and rng.random() < 0.6:
        new = damaged_zip(data, rng)
    elif texts and rng.random() < 0.8:
        new = damaged_text(data, rng)
    elif path.suffix == ".parquet" and rng.random() < 0.6:
        new = lying(data, rng)
    else:
        new = damage(data, rng)
    path.write_bytes(new)


def damage_npz(path: Path, rng: np.random.Generator) -> None:
    """Arrays of other shapes, types and entries, with digests that fit."""
    with np.load(path) as file:
        store = {name: file[name] for name in file.files}
    for _ in range(int(rng.integers(1, 3))):
        name = str(rng.choice(sorted(store)))
        store[name] = damaged_array(store[name], rng)
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, OverflowError):  # a header that is none
        archives.signed_again(store)
    out = io.BytesIO()
    np.savez(out, **store)  # type: ignore[arg-type]
    path.write_bytes(out.getvalue())


def damage_zarr(path: Path, rng: np.random.Generator) -> None:
    import zarr

    group = zarr.open_group(str(path), mode="r+")
    name = str(rng.choice(sorted(group.array_keys())))
    attributes = dict(group[name].attrs)
    new = damaged_array(np.asarray(group[name][...]), rng)
    made = group.create_array(name, data=new, overwrite=True)
    made.attrs.update(attributes)


def damage_folder(folder: Path, rng: np.random.Generator) -> None:
    """One file of a folder damaged, removed, swapped with another or doubled under another name."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    path = files[int(rng.integers(len(files)))]
    kind = rng.random()
    if kind < 0.05:
        path.unlink()
    elif kind < 0.1:
        other = files[int(rng.integers(len(files)))]
        path.write_bytes(other.read_bytes())
    elif kind < 0.13:
        shutil.copy(path, path.with_name("x" + path.name))
    else:
        damage_file(path, rng)


def damaged(kind: str, folder: Path, rng: np.random.Generator) -> None:
    """Damage a copy."""
    if kind == "npz":
        path = folder / "c.npz"
        damage_npz(path, rng) if rng.random() < 0.5 else damage_file(path, rng)
    elif kind == "zarr":
        damage_zarr(folder / "c.zarr", rng) if rng.random() < 0.3 else damage_folder(folder / "c.zarr", rng)
    elif kind.startswith("cells"):
        parts = sorted((folder / "c" / "cells").iterdir())
        if rng.random() < 0.3 and parts and kind != "cells-parquet":
            part = parts[int(rng.integers(len(parts)))]
            damage_npz(part, rng) if kind == "cells-npz" else damage_zarr(part, rng)
        else:
            damage_folder(folder / "c", rng)
        if rng.random() < 0.7:  # else the checksum is all that tells
            with contextlib.suppress(
                ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError, PolyfiberError
            ):
                archives.sign_parts(folder / "c")
    elif kind == "table":
        damage_table(folder / "d", rng)
    elif rng.random() < 0.5:
        damage_parquet(folder / "n.parquet", rng)
    else:
        damage_file(folder / "n.parquet", rng)


def damage_parquet(path: Path, rng: np.random.Generator) -> None:
    """A column of other values, types or lengths in a file that is whole, with the footer's words as they were."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    at = int(rng.integers(table.num_columns))
    name, column = table.column_names[at], table.column(at).combine_chunks()
    kind = int(rng.integers(7))
    if kind == 0:
        table = table.slice(0, int(rng.integers(max(1, len(table)))))
    elif kind == 1:
        table = pa.concat_tables([table, table.slice(0, 1)])
    elif kind == 2:
        table = table.drop_columns([name])
    elif kind == 3 and len(table) > 1:
        table = table.take(rng.permutation(len(table)))
    elif kind == 4:
        values = column.to_pylist()
        if values:
            values[int(rng.integers(len(values)))] = None
        field = table.schema.field(at).with_nullable(True)
        table = table.set_column(at, field, pa.array(values, type=column.type))
    else:
        values = [other(v, rng) if rng.random() < 0.5 else v for v in column.to_pylist()]
        try:
            table = table.set_column(at, table.schema.field(at), pa.array(values, type=column.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            table = table.set_column(at, name, pa.array([str(v) for v in values]))
    pq.write_table(table, path, row_group_size=65536)


def other(value: Any, rng: np.random.Generator) -> Any:
    """Another value of the same type, mostly."""
    if isinstance(value, list):
        if value and rng.random() < 0.7:
            at = int(rng.integers(len(value)))
            return [*value[:at], other(value[at], rng), *value[at + 1 :]]
        return value[:-1] if rng.random() < 0.5 else value * 2
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return int(rng.choice([0, 1, -1, value + 1, 1 << 20, value]))
    if isinstance(value, float):
        return float(rng.choice([0.0, -1.0, np.nan, np.inf, value * 2, value + 1, -value]))
    return "x" if value is not None else value


def damage_table(place: Path, rng: np.random.Generator) -> None:
    """One file of a table damaged, and signed again everywhere."""
    files = sorted(place.glob("*/part-*.parquet"))
    path = files[int(rng.integers(len(files)))]
    damage_parquet(path, rng) if rng.random() < 0.6 else damage_file(path, rng)
    data = path.read_bytes()
    facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    try:
        import pyarrow.parquet as pq

        facts["rows"] = pq.ParquetFile(path).metadata.num_rows
    except Exception:
        pass  # not readable any more
    table, name = path.parent.name, path.name
    record = place / "records" / f"{path.stem}.json"
    document = json.loads(record.read_text())
    document["tables"][table] |= facts
    record.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    manifest = json.loads((place / "manifest.json").read_text())
    for entry in manifest["tables"][table]["files"]:
        if entry["path"] == f"{table}/{name}":
            entry |= facts
    (place / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    lines = [line[66:] for line in (place / "SHA256SUMS").read_text().splitlines()]
    sums = [f"{hashlib.sha256((place / n).read_bytes()).hexdigest()}  {n}" for n in lines]
    (place / "SHA256SUMS").write_text("\n".join(sums) + "\n")


# ---- what the libraries find --------------------------------------------------------------------
def numbers(array: Any) -> list[Any]:
    """Entries as rationals, floats or integers, whatever the array holds."""
    return [Fraction(str(v)) if isinstance(v, str) else v for v in np.asarray(array).ravel().tolist()]


def by_numpy_or_zarr(path: Path) -> dict[str, Any]:
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    import zarr

    group = zarr.open_group(str(path), mode="r")
    found = {}
    for name in group.array_keys():
        values = np.asarray(group[name][...])
        if "texts" in group[name].attrs:
            shape = group[name].attrs["texts"]
            values = np.array(values.tobytes().decode().split("\n"))[: int(np.prod(shape))].reshape(shape)
        found[name] = values
    return found


def archive(path: Path) -> str:
    """What becomes of an archive."""
    cx = pf.PolyhedralComplex.load(path)
    arrays = by_numpy_or_zarr(path)
    header = json.loads(str(arrays["header"]))
    for i, (w, b) in enumerate(zip(cx.network.weights, cx.network.biases)):  # type: ignore[union-attr]
        if numbers(w) != numbers(arrays[f"weight_{i}"]) or numbers(b) != numbers(arrays[f"bias_{i}"]):
            return "WRONG: other parameters than the library finds"
    if header["f_vector"] != list(cx.f_vector):
        return "WRONG: another f-vector than the header has"
    state, nv = cx._skeleton.state, cx._skeleton.nv
    for name in ("words", "star", "at_inf"):
        if cx.dimension and not np.array_equal(np.asarray(getattr(state, name))[:nv], arrays[name]):
            return f"WRONG: other {name} than the library finds"
    used(cx)
    found = archives.verify_archive(path)
    return "read" if found.ok else "read, and not verified"


def used(cx: pf.PolyhedralComplex) -> None:
    """Everything that can be asked."""
    for d in range(cx.dimension + 1):
        _ = cx.signs(d), cx.is_unbounded(d)
    _ = cx.vertices, cx.edges, cx.rays, cx.vertex_errors
    if cx.n_regions:
        _ = cx.affine_maps()
    cx.certificate.verify()


def cells(place: Path, fmt: str) -> str:
    """What becomes of a store."""
    store = pf.read_cells(place)
    total = store.total()
    found: dict[int, list[tuple[Any, Any]]] = {}
    for d in store.dims:
        found[d] = [(c.plus, c.minus) for c in store.cells(d)]
    for d, pieces in found.items():
        theirs: Counter[bytes] = Counter()
        for part in sorted((place / "cells").glob(f"{d}-*.{fmt}")):
            try:
                arrays = part_by_library(part, fmt)
            except Exception:
                continue  # a part that nobody has asked for
            theirs.update(
                np.asarray(p).tobytes() + np.asarray(m).tobytes() for p, m in zip(arrays["plus"], arrays["minus"])
            )
        ours = Counter(p.tobytes() + m.tobytes() for plus, minus in pieces for p, m in zip(plus, minus))
        if ours - theirs:
            return "WRONG: cells that the library does not find"
    problems = store.check()
    verified = archives.verify_cells(place)
    whole = total.complete and not problems and verified.ok
    return "read" if whole else "read, and not verified"


def part_by_library(part: Path, fmt: str) -> dict[str, Any]:
    if fmt == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(part)
        found = {}
        for name in ("plus", "minus"):
            column = table.column(name).to_pylist()
            found[name] = np.frombuffer(b"".join(column), dtype=np.uint8).reshape(len(column), -1)
        return found
    return by_numpy_or_zarr(part)


def table(place: Path, home: Path) -> str:
    """What becomes of a dataset one of whose tables is damaged, and signed again."""
    import pyarrow.parquet as pq

    from polyfiber.datasets import load, validate

    try:
        data = load(place)
        for name, view in data.items():
            for file in view.files:
                ours = view._read(file, None, None)
                theirs = pq.read_table(place / file)
                if not ours.equals(theirs) and str(ours.to_pylist()) != str(theirs.to_pylist()):
                    return f"WRONG: other values of {name} than pyarrow finds"
            view.to_numpy()
        said = "read"
    except PolyfiberError:
        said = "refused"
    report = validate(place, rows=10_000, rng=0)
    if report.problems or any(report.undecided.values()):
        return f"{said}, found by validate"
    for file in sorted(home.glob("d/*/part-*.parquet")):
        before, after = (
            sorted(
                pq.read_table(f).to_pylist(), key=lambda row: str([(k, v) for k, v in row.items() if k not in EXEMPT])
            )
            for f in (file, place / file.relative_to(home / "d"))
        )  # rows in another order are the same rows
        if len(before) != len(after) or not all(alike(a, b) for a, b in zip(before, after)):
            return f"WRONG: validate finds nothing in another {file.parent.name}"
    return f"{said}, the same values"


EXEMPT = ("source", "index", "provenance", "cell", "facet", "positive", "negative", "pair", "stratum", "block")


def alike(a: Any, b: Any) -> bool:
    """Equal, floats to six digits; columns that are provenance apart."""
    if isinstance(a, dict):
        return all(alike(a[k], b[k]) for k in a if k not in EXEMPT)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.isclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True))
    return bool(a == b)


def flat(net: pf.ReLUNetwork) -> list[float]:
    """W1 by rows, b1, W2, …"""
    return [v for w, b in zip(net.weights, net.biases) for part in (w, b) for v in part.ravel().tolist()]


def collection(folder: Path) -> str:
    """What becomes of networks in Parquet."""
    import pyarrow.parquet as pq

    from polyfiber.datasets import make_plan, read_spec
    from polyfiber.equivalence.collections.collection import ParquetCollection

    path = folder / "n.parquet"
    (folder / "s.toml").write_text('name = "m"\nseed = 1\n[[networks]]\nkind = "files"\npaths = ["*.parquet"]\n')
    said = []
    try:
        own = ParquetCollection([path])
        try:
            rows = pq.read_table(path, columns=["architecture", "parameters"]).to_pylist()
        except Exception:  # then ours must refuse one of them
            for i in range(len(own)):
                own.network(i)
            return "WRONG: read what pyarrow cannot read"
        if len(own) != len(rows):
            return "WRONG: another number of rows than pyarrow finds"
        for i, row in enumerate(rows):
            if row["architecture"]:
                net = own.network(i)
                if list(net.architecture) != row["architecture"] or flat(net) != row["parameters"]:
                    return "WRONG: other values than pyarrow finds"
        said.append("read")
    except PolyfiberError:
        said.append("refused")
    for act in (lambda: pf.equivalence_classes(path), lambda: make_plan(read_spec(folder / "s.toml"))):
        try:
            act()
            said.append("read")
        except PolyfiberError as error:
            if len(str(error)) > 3000:
                return "WRONG: a long message"
            said.append("refused")
    return " ".join(said)


def outcome(kind: str, home: Path, folder: Path, seed: list[int]) -> dict[str, Any]:
    """Damage a copy and use it; run in a child."""
    rng = np.random.default_rng(seed)
    damaged(kind, folder, rng)
    with np.errstate(all="ignore"):
        try:
            if kind in ("npz", "zarr"):
                said = archive(folder / f"c.{kind}")
            elif kind.startswith("cells"):
                said = cells(folder / "c", kind[6:])
            else:
                said = table(folder / "d", home) if kind == "table" else collection(folder)
        except PolyfiberError as error:
            said = "refused" if len(str(error)) < 3000 and str(error).isprintable() else f"WRONG: message {error}"[:400]
        except MemoryError:
            raise
        except Exception as error:
            said = f"WRONG: {type(error).__name__}: {error}"[:300]
    return {"kind": said}


def attack(kind: str, count: int, seed: int, top: Path) -> tuple[Counter[str], float, int]:
    """Outcomes, longest time, most memory."""
    found: Counter[str] = Counter()
    longest, most = 0.0, 0
    variants = 4
    homes = [top / kind / str(v) for v in range(variants)]
    here = str(Path(__file__).parent)
    code = "import sys; sys.path.insert(0, sys.argv[1]); import stores, pathlib; stores.prepare(sys.argv[2], pathlib.Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))"
    for v, home in enumerate(homes):  # in processes of their own: the threads of zarr do not survive a fork
        subprocess.run([sys.executable, "-c", code, here, kind, str(home), str(v), str(seed)], check=True)
    if kind in ("table", "collection"):  # compiled once, in this process; they start no threads that a child would miss
        warm = top / kind / "warm"
        shutil.copytree(homes[0], warm)
        table(warm / "d", homes[0]) if kind == "table" else collection(warm)
    elif "zarr" not in kind:
        warm = top / kind / "warm"
        shutil.copytree(homes[0], warm)
        archive(warm / "c.npz") if kind == "npz" else cells(warm / "c", kind[6:])
    for i in range(count):
        home, folder = homes[i % variants], top / "mutant"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(home, folder)
        answer = isolated(
            lambda home=home, folder=folder, i=i: outcome(kind, home, folder, [seed, i, KINDS.index(kind)])
        )  # type: ignore[misc]
        longest, most = max(longest, answer["seconds"]), max(most, answer["memory"])
        wrong = answer["kind"].startswith("WRONG")
        found["WRONG" if wrong else answer["kind"]] += 1
        if wrong:
            kept = Path(tempfile.gettempdir()) / f"wrong-{kind}-{seed}-{i}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder, kept)
            print(f"  {kept}: {answer['kind']}", flush=True)
    return found, longest, most


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500, help="copies of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    args = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as top:
        for kind in args.kinds.split(","):
            found, longest, most = attack(kind, args.count, args.seed, Path(top))
            bad += found["WRONG"]
            words = ", ".join(f"{n} {said}" for said, n in found.most_common())
            print(f"{kind}: {args.count} copies: {words}; at most {longest:.2f} s, {most >> 20} MB", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
