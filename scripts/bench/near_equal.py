"""Are noisy, rounded and pruned copies near their originals? CPU seconds of ours, beside a mixed-integer program by HiGHS.

    python scripts/bench/near_equal.py [--nets DIRECTORY] [--seconds 100] [--milp 100] [--marabou PYTHON] [--verify 60]
        [--rows pairs,copies,boxes,wide,small,digits]

The pairs: ACAS Xu networks of the directory (acasxu_i_j.onnx) and the same with noise N(0, 0.001) added in float32 to every initializer, as a
public benchmark of 2026 makes them; box and epsilon as there. One core; compilation is excluded by a small question before. A row says
what was answered, boxes, CPU seconds, the proved bound, the attained gap; with --milp what HiGHS answers in so many seconds for the output and sign
with the largest gap alone (big-M, bounds of neurons from our relaxation); with --marabou, the interpreter of an environment that has maraboupy
(`peers/near_equal.py`), what that answers in as many seconds for the same; with --verify CPU seconds of the second look at the tree, its leaves, and its size in bytes as files keep it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import polyfiber as pf
from polyfiber.bounds.mixed_integer import milp_maximum
from polyfiber.bounds.settle import settle
from polyfiber.budget import Monitor
from polyfiber.equivalence.bounds.difference_network import both_signs
from polyfiber.equivalence.bounds.near_equal import Question
from polyfiber.equivalence.checks.near import recheck_near
from polyfiber.equivalence.copies import half_precision, pruned, quantised, with_fewer_units

LO, HI = np.array([0.6, -0.5, -0.5, 0.45, -0.5]), np.array([0.679857769, 0.5, 0.5, 0.5, -0.45])
PAIRS = [
    (0, "2_4"), (1, "1_2"), (5, "4_5"), (10, "3_7"), (11, "3_7"), (14, "5_7"), (17, "2_8"), (22, "4_7"), (26, "5_1"),
    (28, "4_1"), (30, "2_8"), (33, "5_7"), (39, "3_1"), (19, "5_7"), (44, "2_8"),
]  # fmt: skip


class Times(float):
    """So many times the largest gap that is found by climbing."""


Row = tuple[str, pf.ReLUNetwork, pf.ReLUNetwork, pf.Box, float]
"""Name, f, g, box, epsilon."""


def noisy(path: Path, seed: int) -> pf.ReLUNetwork:
    """The network of a file with noise on every initializer, in the order of the file."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    np.random.seed(seed)  # noqa: NPY002 (the recipe of the benchmark)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        noise = np.random.normal(0, 0.001, values.shape).astype(np.float32)  # noqa: NPY002
        tensor.CopyFrom(numpy_helper.from_array((values + noise).astype(np.float32), tensor.name))
    with tempfile.TemporaryDirectory() as directory:
        onnx.save(model, f"{directory}/g.onnx")
        return pf.read_network(f"{directory}/g.onnx")


def pairs(nets: Path) -> Iterator[Row]:
    """The noisy pairs."""
    for seed, name in PAIRS:
        path = nets / f"acasxu_{name}.onnx"
        yield f"{seed} ({name}) + noise", pf.read_network(path), noisy(path, seed), pf.Box(LO, HI), 0.05


def copies(nets: Path) -> Iterator[Row]:
    """Rounded and pruned copies."""
    inputs = np.random.default_rng(0).uniform(LO, HI, (1000, 5))
    for name in ("1_2", "3_7", "5_1"):
        f = pf.read_network(nets / f"acasxu_{name}.onnx")
        makers = {
            "float16": half_precision(f), "int8": quantised(f), "int8 per channel": quantised(f, per="channel"),
            "5 % pruned": pruned(f, 0.05), "10 % pruned": pruned(f, 0.1), "30 % pruned": pruned(f, 0.3),
            "10 % fewer units": with_fewer_units(f, 0.1, inputs),
        }  # fmt: skip
        for kind, g in makers.items():
            scaled = "int8" in kind or "pruned" in kind
            for epsilon in (Times(1.5), Times(1.2)) if scaled else (0.05,):
                yield f"{name} {kind}" + f", {epsilon} x" * scaled, f, g, pf.Box(LO, HI), epsilon


def boxes(nets: Path) -> Iterator[Row]:
    """float16 copies on a box 5000 times as large."""
    for name in ("1_2", "2_4", "3_1", "4_1", "5_1"):
        f = pf.read_network(nets / f"acasxu_{name}.onnx")
        yield f"{name} float16, ±0.5", f, half_precision(f), pf.Box(-0.5, 0.5, dimension=5), 0.05


def wide(nets: Path) -> Iterator[Row]:
    """Ten and twenty inputs."""
    for n, radius in ((10, 0.1), (20, 0.05)):
        for seed in range(4):
            rng = np.random.default_rng(seed)
            f = pf.ReLUNetwork.random((n, 64, 64, 64, 1), rng=rng)
            g = pf.ReLUNetwork(
                [W + 1e-3 * rng.standard_normal(W.shape) for W in f.weights],
                [b + 1e-3 * rng.standard_normal(b.shape) for b in f.biases],
            )
            middle = rng.standard_normal(n)
            yield f"{n}-64-64-64-1, ±{radius}, {seed}", f, g, pf.Box(middle - radius, middle + radius), Times(1.2)


def small(nets: Path) -> Iterator[Row]:
    """Networks of a few dozen neurons."""
    for widths in ((3, 32, 32, 1), (5, 16, 16, 3)):
        for seed in range(3):
            rng = np.random.default_rng(seed)
            f = pf.ReLUNetwork.random(widths, rng=rng)
            g = pf.ReLUNetwork([W + 1e-3 * rng.standard_normal(W.shape) for W in f.weights], f.biases)
            yield f"{'-'.join(map(str, widths))}, ±1, {seed}", f, g, pf.Box(-1, 1, dimension=widths[0]), Times(1.2)


def digits(nets: Path) -> Iterator[Row]:
    """Eight-bit copies of a classifier of 8 by 8 digits, around images."""
    from sklearn.datasets import load_digits

    f = pf.read_network(nets / "mnist8x8_lin.h5")
    X = load_digits().data[:20] / 16.0
    g = quantised(f)
    for k, x in enumerate(X):
        yield (
            f"{'-'.join(map(str, f.architecture))} int8, image {k}, ±0.02",
            f,
            g,
            pf.Box(x - 0.02, x + 0.02),
            Times(1.2),
        )


def run(row: Row, options: Any) -> list[str]:
    """One row of the table."""
    name, f, g, box, epsilon = row
    if isinstance(epsilon, Times):
        climb = Question.of(f, g, box, 0.0).search(follow=True)
        climb.attack(Monitor())
        epsilon = float(epsilon) * float(climb.excess if np.isfinite(climb.excess) else climb.state.numbers[1])
    started = time.process_time()
    question = Question.of(f, g, box, epsilon)
    answer = question.answer(settle(question.search(), Monitor(pf.Budget(seconds=options.seconds))))
    seconds = time.process_time() - started
    gap = 0.0 if answer.gap is None else float(answer.gap)
    cells = [
        name, f"{epsilon:.4g}", answer.verdict.value, f"{answer.n_boxes}", f"{seconds:.2f}", f"{answer.bound:.6g}", f"{gap:.6g}"
    ]  # fmt: skip
    if options.milp or options.marabou:
        net, x = both_signs(f, g), (box.lo + box.hi) / 2 if answer.point is None else answer.point
        output = int(np.argmax(net(x)))
    if options.milp:
        started = time.process_time()
        value, bound, _, _ = milp_maximum(net, box.lo, box.hi, output=output, seconds=options.milp)
        verdict = "no" if value > epsilon else "yes" if bound <= epsilon else "undecided"
        cells.append(f"{verdict} {time.process_time() - started:.1f}")
    if options.marabou:
        o = output % f.architecture[-1]
        cells.append(marabou((f, g), box, (o, float(np.sign(f(x)[o] - g(x)[o]))), epsilon, options))
    if options.verify and answer.verdict.value == "yes":
        started, codes = time.process_time(), answer.tree.packed()
        again, leaves = recheck_near(answer, monitor=Monitor(pf.Budget(seconds=options.verify)))
        seconds, size = time.process_time() - started, len(zlib.compress(codes.tobytes(), 9))
        done = (
            "" if leaves is None else f", {leaves.boxes} of {answer.tree.n_leaves} leaves, {leaves.halved} more splits"
        )
        cells.append(f"{again.verdict.value} {seconds:.1f}{done}, {size} B")
    return cells


def marabou(
    pair: tuple[pf.ReLUNetwork, ...], box: pf.Box, worst: tuple[int, float], epsilon: float, options: Any
) -> str:
    """What Marabou answers, and its CPU seconds."""
    with tempfile.TemporaryDirectory() as directory:
        task = f"{directory}/task.npz"
        layers = {
            f"{name}{i}": np.column_stack([W, b])
            for name, net in zip("fg", pair)
            for i, (W, b) in enumerate(zip(net.weights, net.biases))
        }
        np.savez(task, lo=box.lo, hi=box.hi, output=worst[0], sign=worst[1], epsilon=epsilon, **layers)
        script = Path(__file__).parent / "peers" / "near_equal.py"
        command = [options.marabou, str(script), task, str(options.milp or options.seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    verdict = {"unsat": "yes", "sat": "no"}.get(found["status"], found["status"].lower())
    return f"{verdict} {found['seconds']:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=Path, help="directory with acasxu_i_j.onnx, for the rows 'pairs' and 'copies'")
    parser.add_argument("--rows", default="small,wide", help="pairs, copies, boxes, wide, small, digits")
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--milp", type=float, default=0.0, help="seconds for HiGHS on the worst output alone")
    parser.add_argument("--marabou", help="python of an environment with maraboupy: beside Marabou on the same output")
    parser.add_argument("--verify", type=float, default=0.0, help="seconds for a second look at every YES")
    options = parser.parse_args()
    warm = pf.ReLUNetwork.random((2, 4, 4, 1), rng=0)
    pf.are_equivalent(warm, half_precision(warm), pf.Box(-1, 1, dimension=2), epsilon=1e-3)
    head = ["pair", "epsilon", "answer", "boxes", "CPU s", "bound", "attained"]
    head += (
        ["HiGHS, one output"] * bool(options.milp)
        + ["Marabou, the same"] * bool(options.marabou)
        + ["second look"] * bool(options.verify)
    )
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    total = 0.0
    for kind in options.rows.split(","):
        for row in {"pairs": pairs, "copies": copies, "boxes": boxes, "wide": wide, "small": small, "digits": digits}[
            kind
        ](options.nets):
            cells = run(row, options)
            total += float(cells[4])
            print("| " + " | ".join(cells) + " |", flush=True)
    print(f"\n{total:.1f} CPU s together")


if __name__ == "__main__":
    main()
