"""Three newcomers, from the README on: what docs/walkthroughs.md tells, as it is today.

    python scripts/walkthroughs.py [geometer] [engineer] [sweep] [--python PATH] [--networks 1000] [--fresh]

Each step runs in a process of its own with the given interpreter (``--fresh``: that of a new environment with this
checkout installed), in an empty folder with the repository's ``data``. What comes out is compared with what the newcomer
knows without us: counts of line arrangements and Euler's formula, an evaluator of ONNX, how the sweep was made. Prints CPU
seconds and the first line of each step; exit code 1 where one does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from math import comb
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


@dataclass
class Desk:
    """A folder to work in, an interpreter, and what went wrong."""

    folder: Path
    python: str
    wrong: list[str] = field(default_factory=list)

    def holds(self, true: object, what: str) -> None:
        """Note what does not hold."""
        if not true:
            self.wrong.append(what)
            print(f"    DOES NOT HOLD: {what}")

    def run(self, argv: list[str], codes: tuple[int, ...] = (0,)) -> str:
        """Run one step; its standard output."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = {**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, check=False, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        said = done.stdout.strip().splitlines() or ["(nothing)"]
        if said[0] == "{":
            said = [json.loads(done.stdout)["answer"]]
        print(f"{spent:7.1f} s  {shown(argv)}\n           {said[0][:160]}", flush=True)
        self.holds(done.returncode in codes, f"{shown(argv)}: exit {done.returncode}: {done.stderr.strip()[-300:]}")
        self.holds("Traceback" not in done.stdout + done.stderr, f"{shown(argv)}: a raw trace")
        return done.stdout

    def type(self, line: str, codes: tuple[int, ...] = (0,)) -> str:
        """Type a command line that begins with polyfiber."""
        return self.run([self.python, "-m", *shlex.split(line)], codes)

    def facts(self, line: str, codes: tuple[int, ...] = (0,)) -> dict[str, object]:
        """The JSON of a command."""
        found: dict[str, object] = json.loads(self.type(f"{line} --json --quiet", codes) or "{}")
        return found

    def program(self, text: str) -> str:
        """Run a program of Python."""
        return self.run([self.python, "-c", text])


def shown(argv: list[str]) -> str:
    """A step as it is typed, in one line."""
    words = argv[1:] if argv[1] == "-c" else argv[2:]
    line = " ".join(" ".join(words).split())
    return line if len(line) <= 100 else line[:99] + "…"


def blocks(kind: str) -> list[str]:
    """Code blocks of the README."""
    inside = (part.split("\n", 1) for part in README.split("```")[1::2])
    return [text for name, text in inside if name == kind]


# ---- a geometer ---------------------------------------------------------------------------------
def geometer(desk: Desk) -> None:
    """The first command, the block *From Python*, and counts that geometers know."""
    first = next(line for line in blocks("sh")[0].split("&&") if ".venv/bin/polyfiber" in line)
    printed = desk.type(first.strip().removeprefix(".venv/bin/"))
    promised = next(b for b in blocks("") if b.startswith("The network cuts"))
    there, here = (" ".join(text.split("signs decided")[0].split()) for text in (promised, printed))
    desk.holds(here == there, f"what the README shows: {here}")
    block = blocks("python")[0]
    values = desk.program(
        block + "print(cx.f_vector, cx.certificate.verify().ok, repr(cx.strata), cx.lipschitz(), sep='\\n')"
    )
    desk.holds(str(re.search(r"cx.f_vector  # (\(.*\))", block)[1]) in values, "the f-vector of the comment")  # type: ignore[index]
    desk.holds("\nTrue\n" in values, "the certificate")
    lines, n = 9, 2
    made = desk.program(
        f"import polyfiber as pf; net = pf.ReLUNetwork.random(({n}, {lines}, 1), rng=5); net.save('lines.npz'); "
        "cx = pf.canonical_complex(net); box = pf.canonical_complex(net, pf.Box(-9, 9, dimension=2)); "
        "print(cx.f_vector, box.f_vector, float(box.volumes(2).sum()), box.euler_characteristic); print(cx)"
    )
    arrangement = (comb(lines, 2), lines * lines, 1 + lines + comb(lines, 2))
    desk.holds(made.startswith(str(arrangement)), f"{lines} lines in general position: {arrangement}")
    desk.holds(abs(float(made.split(")")[2].split()[0]) - 18.0**2) < 1e-9, "areas add up to that of the box")
    found = desk.facts("polyfiber complex lines.npz --verify")
    desk.holds(found.get("f_vector") == list(arrangement), "the same in the terminal")
    level = desk.facts("polyfiber levelset data/torus_distance.onnx --domain -1.6,1.6,-1.6,1.6,-0.8,0.8 --verify")
    desk.holds(level.get("betti_numbers") == [1, 2, 1], "a torus has Betti numbers 1, 2, 1")
    desk.type("polyfiber complex lines.npz --save lines.pf.npz -q")
    desk.holds(desk.type("polyfiber verify lines.pf.npz -q").startswith("Confirmed"), "the saved complex verifies")


# ---- an engineer with ONNX ----------------------------------------------------------------------
MAKE = """
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
shapes, dtype = [(6, 10), (10, 8), (8, 3)], np.float32
weights = [(rng.standard_normal(s).astype(dtype), rng.standard_normal(s[1]).astype(dtype)) for s in shapes]
weights[1][0][:, 3] = 2 * weights[1][0][:, 2]  # a copy: neuron 3 of layer 2 is twice neuron 2
weights[1][1][3] = 2 * weights[1][1][2]
for name, half in (("a.onnx", False), ("half.onnx", True)):
    nodes, kept, last = [], [], "x"
    for i, (W, b) in enumerate(weights):
        W, b = (v.astype(np.float16).astype(dtype) if half else v for v in (W, b))
        kept += [numpy_helper.from_array(W, f"W{i}"), numpy_helper.from_array(b, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [last, f"W{i}", f"b{i}"], [last := f"z{i}"]))
        if i < 2:
            nodes.append(helper.make_node("Relu", [last], [last := f"h{i}"]))
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", k]) for n, k in (("x", 6), (last, 3))]
    graph = helper.make_graph(nodes, "net", [ends[0]], [ends[1]], kept)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), name)
"""
COMPARE = """
import numpy as np, onnx
from onnx.reference import ReferenceEvaluator
import polyfiber as pf

X = np.random.default_rng(1).uniform(-1, 1, (2000, 6)).astype(np.float32)
out = {name: ReferenceEvaluator(onnx.load(name)).run(None, {onnx.load(name).graph.input[0].name: X.astype(kind)})[0]
       for name, kind in (("a.onnx", np.float32), ("half.onnx", np.float32), ("small.onnx", KIND))}
print(np.abs(out["a.onnx"] - out["small.onnx"]).max(), np.abs(out["a.onnx"] - out["half.onnx"]).max(),
      np.abs(pf.read_network("a.onnx")(X.astype(float)) - out["a.onnx"]).max())
"""


def engineer(desk: Desk) -> None:
    """A file, its copy in half precision, and a smaller one."""
    desk.program(MAKE)
    info = desk.facts("polyfiber info a.onnx")
    desk.holds("6-10-8-3" in str(info.get("answer")), "the architecture of the file")
    answer = desk.facts("polyfiber equiv a.onnx half.onnx", (1,))
    desk.holds("near enough on a box" in str(answer.get("answer")), "which question half precision asks")
    near = desk.facts("polyfiber equiv a.onnx half.onnx --domain -1,1 --epsilon 0.05 --seconds 100")
    desk.holds(near.get("verdict") == "yes", "half precision is within 0.05 on the box")
    far = desk.facts("polyfiber equiv a.onnx half.onnx --domain -1,1 --epsilon 1e-4 --seconds 100", (1,))
    desk.holds(far.get("verdict") == "no", "and not within 1e-4")
    small = desk.facts("polyfiber minimize a.onnx -o small.onnx --prove")
    desk.holds(small.get("architecture") == [6, 10, 7, 3], "the copy is found")
    desk.holds(
        desk.facts("polyfiber equiv a.onnx small.onnx").get("verdict") == "yes", "the smaller file is the same function"
    )
    kind = desk.program("import onnx; print(onnx.load('small.onnx').graph.initializer[0].data_type)")
    compared = desk.program(COMPARE.replace("KIND", "np.float32" if kind.strip() == "1" else "np.float64"))
    same, apart, read = map(float, compared.split())
    desk.holds(same < 1e-4, f"an evaluator of ONNX agrees with the smaller file ({same})")
    desk.holds(read < 1e-4, f"and with what was read ({read})")
    desk.holds(1e-4 < apart <= 0.05, f"and half precision lies between ({apart})")
    slice_ = desk.facts("polyfiber slice data/digits_cnn.onnx --axes 20,21 --origin 0.5 --domain -1,1")
    desk.holds("exactly" in str(slice_.get("answer")), "a convolutional network on a plane")
    desk.type("polyfiber info missing.onnx", (4,))
    desk.type("polyfiber complex a.onnx --dims 1", (2,))


# ---- a sweep ------------------------------------------------------------------------------------
SWEEP = """
import pathlib, numpy as np, polyfiber as pf
from polyfiber.network.moves import random_trivial

runs = pathlib.Path("runs"); runs.mkdir()
for i in range(COUNT // 2):
    net = pf.ReLUNetwork.random((2, 8, 8, 1), rng=i)
    net.save(runs / f"{i:04d}-first.npz")
    random_trivial(net, rng=i)(net).save(runs / f"{i:04d}-again.npz")
pathlib.Path("sweep.toml").write_text('''
name = "sweep"
title = "My sweep"
description = "Files of a sweep, half of them copies in other weights."
licence = "CC0-1.0"
seed = 0

[[networks]]
name = "runs"
kind = "files"
paths = ["runs/*.npz"]

[tables.complexes]
[tables.fibers]
''')
"""


def sweep(desk: Desk, count: int = 1000) -> None:
    """So many files, half of them copies in other weights."""
    desk.program(SWEEP.replace("COUNT", str(count)))
    found = desk.facts("polyfiber dedupe runs")
    desk.holds(
        f"{count} networks compute {count // 2} different functions" in str(found.get("answer")), "half are copies"
    )
    labels = desk.program(
        "import pathlib, polyfiber as pf; nets = [pf.read_network(p) for p in sorted(pathlib.Path('runs').glob('*'))]; "
        "print(len(set(map(int, pf.equivalence_classes(nets))))); "
        "print(pf.fibers.classify_batch(pf.NetworkBatch.stack(nets)))"
    )
    desk.holds(labels.split()[0] == str(count // 2), "the same from Python")
    desk.holds("classify_fiber" in labels, "labels whose theorem does not apply say what to ask instead")
    if not desk.run(
        [desk.python, "-c", "import importlib.util as u; print(u.find_spec('pyarrow') is not None)"]
    ).startswith("T"):
        desk.type("polyfiber dataset plan sweep.toml", (4,))
        print("           tables need polyfiber[data], which is not installed here")
        return
    desk.type("polyfiber dataset plan sweep.toml --no-pilot")
    desk.type("polyfiber dataset run sweep.toml -o made -w 0 -q")
    checked = desk.facts("polyfiber dataset validate made --rows 3")
    desk.holds(checked.get("ok") is True, f"the dataset validates: {checked.get('answer')}")


WALKS: dict[str, Callable[[Desk], None]] = {"geometer": geometer, "engineer": engineer, "sweep": sweep}


def fresh(folder: Path) -> str:
    """The interpreter of a new environment with this checkout in it."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    subprocess.run([str(folder / "venv/bin/pip"), "install", "-q", str(ROOT)], check=True)
    return str(folder / "venv/bin/python")


def walk(name: str, python: str, *, networks: int = 1000, kind: type[Desk] = Desk) -> list[str]:
    """One walkthrough in a folder of its own; what does not hold."""
    with tempfile.TemporaryDirectory() as place:
        desk = kind(Path(place), python)
        (desk.folder / "data").symlink_to(ROOT / "data")
        print(f"== {name}", flush=True)
        if name == "sweep":
            sweep(desk, networks)
        else:
            WALKS[name](desk)
        return desk.wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="geometer, engineer, sweep; all by default")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        python = fresh(Path(place)) if options.fresh else options.python
        wrong = [text for name in options.names or WALKS for text in walk(name, python, networks=options.networks)]
    raise SystemExit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
