"""Write tests/golden/archives: small files of every kind that polyfiber writes, and what is in them.

They were written by the released layout (commit 025bd68) and are never written again: later versions must read them.
To add the files of a later release, check it out elsewhere and run this script with it:

    PYTHONPATH=CHECKOUT python tests/golden/make_archives.py FOLDER
"""

from __future__ import annotations

import json
import shutil
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import polyfiber as pf
from polyfiber.datasets import finish, load, run

SPEC: dict[str, Any] = {
    "name": "released",
    "seed": 5,
    "partition": 8,
    "networks": [
        {"name": "r", "kind": "random", "architecture": [2, 3, 1], "count": 2, "domain": [-1.0, 1.0]},
        {"kind": "perturbed", "of": "r", "noise": 1e-3},
    ],
    "tables": {"cells": {}, "pairs": {}},
}


def networks() -> dict[str, pf.ReLUNetwork]:
    lines = [[1, 0], [0, 1], [1, 1], [1, -1]]  # four through one point, and a pruned neuron
    third = [[Fraction(1, 3), Fraction(-2, 7)], [Fraction(1), Fraction(0)]]
    return {
        "generic": pf.ReLUNetwork.random((2, 4, 3, 1), rng=1),
        "degenerate": pf.ReLUNetwork([lines, [[1, 1, 1, 1], [0, 0, 0, 0]], [[1, 1]]], [[0] * 4, [-1, 0], [0]]),
        "exact": pf.ReLUNetwork([third, [[Fraction(1, 10), 1]]], [[Fraction(1, 9), 0], [Fraction(2, 3)]]),
    }


def domains() -> dict[str, pf.Polyhedron | None]:
    triangle = pf.Polyhedron([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]], [1.0, 1.0, 1.5])
    return {"generic": None, "degenerate": pf.Box([-2, -2], [2, 3]), "exact": triangle}


def facts(cx: pf.PolyhedralComplex) -> dict[str, Any]:
    fingerprints = [list(map(int, cx.fingerprint(k))) for k in range(cx.dimension + 1)]
    return {"f_vector": list(map(int, cx.f_vector)), "simple": cx.is_simple, "fingerprints": fingerprints}


def main(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    truth: dict[str, Any] = {"polyfiber": pf.__version__, "complexes": {}, "cells": {}, "spec": SPEC}
    for name, net in networks().items():
        pf.write_network(net, folder / f"network_{name}.npz")
        cx = pf.canonical_complex(net, domains()[name])
        cx.save(folder / f"complex_{name}.npz")
        truth["complexes"][name] = facts(cx)
    for suffix in ("onnx", "nnet", "safetensors"):
        pf.write_network(networks()["generic"], folder / f"network_generic.{suffix}")
    for name, file_format in (("generic", "npz"), ("degenerate", "parquet")):
        place = folder / f"cells_{name}"
        options: dict[str, Any] = {"maps": True, "vertices": True} if name == "generic" else {}
        total = pf.write_cells(
            networks()[name], place, domains()[name], dims=[0, 1, 2], file_format=file_format, **options
        )
        truth["cells"][name] = {"f_vector": list(map(int, total.f_vector)), "format": file_format}
    run(SPEC, folder / "dataset", workers=0)
    finish(folder / "dataset")
    data = load(folder / "dataset")
    truth["rows"] = {name: len(data[name]) for name in ("networks", *SPEC["tables"])}
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
