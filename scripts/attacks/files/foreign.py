"""Put files, folders, links, pipes and stores of others in the way of everything that writes: is a byte of them lost or changed?

    python scripts/attacks/files/foreign.py [--seed 0] [--count 40]

Acts: datasets (`run` into a new folder, again, of a part, `finish`, `load`, `validate`), streams of cells in three formats
(new and resumed), archives (npz, Zarr), networks, collections in Parquet, meshes, answers, pages, pictures and plans of the command
line. In the way lies, under names that the act uses itself or that look like its unfinished files: a file, a folder with
files, a Zarr group, a dataset, a pipe; a link to a file or folder outside, a hard link to a file. What others put there, and
everything outside, must hold the same bytes afterwards. A store or dataset of ours may replace a file of a name of its own; a file
that the user names as the output is replaced, that is what was asked for. A link or pipe that is replaced holds no bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mutants import isolated

import polyfiber as pf
from polyfiber.errors import PolyfiberError

SPEC: dict[str, Any] = {
    "name": "m", "seed": 3, "partition": 2, "tables": {"complexes": {}},
    "networks": [{"name": "a", "kind": "random", "architecture": [2, 3, 1], "count": 4, "domain": [-1.0, 1.0]}],
}  # fmt: skip
DIGITS = "0123456789abcdef" * 2
NAMES = {
    "dataset": [
        "plan.json", "manifest.json", "README.md", "croissant.json", "SHA256SUMS", "runs.jsonl", ".lock", ".checked", ".partial",
        f".partial/complexes-00000-{DIGITS}.parquet", ".partial/thesis.tex", f".partial/.plan.json.{DIGITS}", "records",
        "records/part-00000.json", "records/part-00009.json", "complexes", "complexes/part-00000.parquet", "complexes/part-00007.parquet",
        "networks", "networks/part-00001.parquet", "networks/notes.txt", "sources", "sources/x.npz", "cells", "cells/part-00000.parquet",
        "thesis.tex", "zarr.json", "plan.json.tmp",
    ],
    "cells": [
        "manifest.json", "network.npz", "blocks.jsonl", "cells", "cells/thesis.tex", "cells/2-0123456789abcdef.parquet.bak",
        "cells/2-0123456789abcdef.zarr", "cells/2-0123456789abcdeg.npz", "cells/.abcd1234.part", "cells/.abcd1234.part/thesis.tex",
        "cells/.abcd1234.part/old", "cells/.abcd1234.part/2-0123456789abcdef.zarr", ".abcd1234.part", "thesis.tex", "zarr.json", "cells/cells",
    ],
    "zarr": ["", "zarr.json", "header", "header/zarr.json", "thesis.tex", "../.abcd1234.part", "../.abcd1234.part/old"],
    "file": ["", "../thesis.tex", "../.abcd1234.part", "../.abcd1234.part/old", "../{name}.tmp", "../.{name}.part", "../{name}.part"],
}  # fmt: skip
OWN = {
    "dataset": {
        "plan.json", "manifest.json", "README.md", "croissant.json", "SHA256SUMS", "runs.jsonl", ".lock", ".checked",
        "records/part-00000.json", "complexes/part-00000.parquet", "networks/part-00001.parquet",
        f".partial/complexes-00000-{DIGITS}.parquet", f".partial/.plan.json.{DIGITS}",
    },
    "cells": {"manifest.json", "network.npz", "blocks.jsonl", "cells/.abcd1234.part/2-0123456789abcdef.zarr"},
    "zarr": {"zarr.json"}, "file": set(),
}  # fmt: skip
"""Names that a dataset, store or archive of ours gives to files of its own; a file there is its own."""
WAYS = ("file", "folder", "zarr", "dataset", "pipe", "link to a file", "link to a folder", "hard link", "dangling link")


def net() -> pf.ReLUNetwork:
    return pf.ReLUNetwork.random((2, 5, 1), rng=3)


SQUARE = pf.Box([-1.0, -1.0], [1.0, 1.0])


def acts(folder: Path) -> dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], Any] | None]]:
    """Name to (kind of names, the act, what makes what it would find of its own)."""
    from typer.testing import CliRunner

    from polyfiber.cli.app import app
    from polyfiber.datasets import finish, load, run, validate
    from polyfiber.equivalence.collections.collection import write_parquet

    small = folder / "net.npz"
    net().save(small)

    def command(*words: str) -> None:
        found = CliRunner().invoke(app, list(words))
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception

    def made(place: Path) -> Any:
        return run(SPEC, place, workers=0)

    def half(place: Path) -> Any:
        return run(SPEC, place, workers=0, partitions=[0])

    def cells(fmt: str, resume: bool) -> Callable[[Path], Any]:
        return lambda place: pf.write_cells(net(), place, SQUARE, file_format=fmt, resume=resume)  # type: ignore[arg-type]

    def archive(place: Path) -> None:
        pf.canonical_complex(net(), SQUARE).save(place)

    found: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], Any] | None]] = {
        "run": ("dataset", made, None), "run again": ("dataset", made, made), "run the rest": ("dataset", made, half),
        "redo": ("dataset", lambda p: run(SPEC, p, workers=0, redo=True), made), "finish": ("dataset", finish, made),
        "load": ("dataset", lambda p: [v.to_numpy() for v in load(p).values()], made),
        "validate": ("dataset", lambda p: validate(p, rows=2, rng=0), made),
        "plan -o": ("dataset", lambda p: command("dataset", "plan", str(folder / "s.toml"), "-o", str(p)), None),
        "save zarr": ("zarr", archive, None), "save zarr again": ("zarr", archive, archive),
        "dedupe --write": ("cells", lambda p: command("dedupe", str(small), "--write", str(p)), None),
    }  # fmt: skip
    for fmt in ("npz", "parquet", "zarr"):
        found[f"cells {fmt}"] = ("cells", cells(fmt, False), None)
        found[f"cells {fmt} resumed"] = ("cells", cells(fmt, True), cells(fmt, False))
        found[f"cells {fmt} begun"] = ("cells", cells(fmt, True), None)
    files: dict[str, Callable[[Path], Any]] = {
        "save.npz": archive, "net.npz": net().save, "net.onnx": net().save, "net.safetensors": net().save, "net.nnet": net().save,
        "set.parquet": lambda p: write_parquet([net()], p),
        "page.html": lambda p: command("report", str(small), "-o", str(p)),
        "picture.png": lambda p: command("complex", str(small), "--domain", "-1,1", "--plot", str(p)),
        "archive.npz": lambda p: command("complex", str(small), "--domain", "-1,1", "--save", str(p)),
        "answer.json": lambda p: command("equiv", str(small), str(small), "--save", str(p)),
        "mesh.obj": lambda p: command("level", str(small), "--domain", "-1,1", "--save", str(p)),
        "smaller.npz": lambda p: command("minimize", str(small), "-o", str(p)),
    }  # fmt: skip
    return {**found, **{name: ("file", act, None) for name, act in files.items()}}


def placed(path: Path, way: str, outside: Path) -> bool:
    """Put something of others there; False where something is there or cannot be."""
    if os.path.lexists(path) or not path.parent.resolve().is_dir() or path.parent.is_symlink():
        return False
    if way == "file":
        path.write_bytes(b"ten years")
    elif way == "folder":
        path.mkdir()
        (path / "thesis.tex").write_bytes(b"ten years")
        (path / "part-00000.parquet").write_bytes(b"ten years")
        (path / "2-0123456789abcdef.npz").write_bytes(b"ten years")
    elif way in ("zarr", "dataset"):
        shutil.copytree(outside / way, path)
    elif way == "pipe":
        os.mkfifo(path)
    elif way == "hard link":
        os.link(outside / "victim", path)
    else:
        path.symlink_to(outside / {"link to a file": "victim", "link to a folder": "folder"}.get(way, "nowhere"))
    return True


def state(top: Path) -> dict[str, Any]:
    """Everything below a folder: kind and bytes."""
    found: dict[str, Any] = {}
    for base, folders, files in os.walk(top):
        for name in [*folders, *files]:
            path = Path(base) / name
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                found[str(path)] = ("link", os.readlink(path))
            elif stat.S_ISREG(mode):
                found[str(path)] = ("file", path.read_bytes())
            else:
                found[str(path)] = ("folder" if stat.S_ISDIR(mode) else "pipe", b"")
    return found


def trials(rng: np.random.Generator, given: dict[str, Any], count: int) -> Iterator[tuple[str, str, str]]:
    """Acts with every name and way, or as many as are asked for of each act."""
    for name, (kind, _, _) in given.items():
        cases = [(where, way) for where in NAMES[kind] for way in WAYS]
        if kind == "file":  # a file of that name is what was asked for
            cases = [c for c in cases if c[0] or c[1] not in ("file", "hard link", "link to a file", "dangling link")]
        for i in rng.permutation(len(cases))[:count]:
            yield name, *cases[int(i)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--acts", default="")
    options = parser.parse_args()
    rng, outcomes, wrong = np.random.default_rng(options.seed), Counter[str](), []
    with tempfile.TemporaryDirectory() as scratch:
        top = Path(scratch)
        outside, home, before = top / "outside", top / "home", top / "before"
        for folder in (outside, home, before):
            folder.mkdir()
        given = acts(home)
        (home / "s.toml").write_text(
            'name = "m"\nseed = 3\n[[networks]]\nkind = "random"\narchitecture = [2, 3, 1]\ncount = 2\n'
        )
        (outside / "victim").write_bytes(b"ten years")
        (outside / "folder").mkdir()
        (outside / "folder" / "victim").write_bytes(b"ten years")
        given["save zarr"][1](outside / "x.zarr")
        (outside / "x.zarr").rename(outside / "zarr")
        (outside / "zarr" / "header" / "note").write_bytes(b"mine")
        given["run"][1](outside / "dataset")
        (outside / "dataset" / "note").write_bytes(b"mine")
        for name, (_, _, first) in given.items():
            if first is not None:
                first(before / f"{name}.zarr")
        whole = state(outside)
        warm = top / "warm"
        warm.mkdir()
        for act, (kind, run, _) in given.items():  # whatever is compiled or imported is, before children are forked
            with contextlib.suppress(PolyfiberError):
                run(warm / (act if kind == "file" else f"{act}.zarr"))
        for act, where, way in trials(rng, given, options.count):
            if options.acts and act not in options.acts.split(","):
                continue
            work, own = top / "work", before / f"{act}.zarr"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            kind = given[act][0]
            target = work / (f"x{'.zarr' if kind == 'zarr' else ''}" if kind != "file" else act)
            if own.exists():
                shutil.copytree(own, target, symlinks=True)
            elif where and not where.startswith(".."):
                target.mkdir()
            path = (target.parent / where[3:].format(name=target.name)) if where.startswith("..") else target / where
            ours = set(state(work))
            for folder in reversed([p for p in path.parents if work in p.parents]):
                if not os.path.lexists(folder) and way != "hard link":
                    folder.mkdir()
            if not placed(path, way, outside):
                outcomes["taken by its own"] += 1
                continue
            theirs = {k: v for k, v in state(work).items() if k not in ours and (v[0] != "folder" or k == str(path))}
            answer = isolated(lambda act=act, target=target: {"kind": said(given[act][1], target)})  # type: ignore[misc]
            after, now = state(work), state(outside)
            mine = own.exists() or where.startswith(".partial/")
            lost = [k for k, v in theirs.items() if after.get(k) != v and v[0] == "file"]
            if mine and where in OWN[kind] and way in ("file", "hard link"):
                lost = []
            changed = [k for k in {*whole, *now} if whole.get(k) != now.get(k)]
            outcomes[answer["kind"][:40]] += 1
            if lost or changed or answer["kind"].startswith(("RAW", "WRONG")):
                wrong.append(
                    f"{act}: {way} at {where or 'the target'}: {answer['kind']}; lost {lost[:3]}, outside {changed[:3]}"
                )
                print(wrong[-1], flush=True)
                if changed:
                    break
    print(f"{sum(outcomes.values())} trials of {len(given)} acts, {len(wrong)} wrong: {dict(outcomes)}")
    return bool(wrong)


def said(act: Callable[[Path], Any], target: Path) -> str:
    """How an act ended."""
    try:
        act(target)
        return "done"
    except PolyfiberError as error:
        return "refused" if len(str(error)) < 1500 else "RAW: a long message"
    except Exception as error:
        return f"RAW {type(error).__name__}: {error}"[:200]


if __name__ == "__main__":
    sys.exit(main())
