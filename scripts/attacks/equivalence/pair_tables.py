"""Larger pairs for the attack on verdicts, and the tables of its page, made from the lines that runs have written (see `pairs.py`)."""

from __future__ import annotations

import json
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import polyfiber as pf
from polyfiber.testing.near_misses import constant_shift, one_parameter, pyramid
from polyfiber.testing.rewritings import OPERATORS
from scripts.attacks.equivalence.pairs import inputs, judged, residual

SIZES = ((6, 32, 32, 4), (10, 64, 64, 4), (16, 128, 10), (4, 24, 24, 24, 2), (3, 32, 32, 2), (8, 24, 24, 2))
QUESTIONS = ("tolerance", "box", "exact")
WEIGHTS = ("gaussian", "pruned", "quantised")
KINDS = (
    "equal, symmetries", "equal, any operators", "pyramid", "one parameter", "constant", "its quantised copy",
)  # fmt: skip
SYMMETRIES = ("permute", "rescale", "unused neuron", "dead neuron", "translate", "flip")
QUESTION = {"tolerance": "within 1e-9, on R^n", "box": "within 1e-9, on boxes", "exact": "exactly, on R^n"}


def sized_network(widths: tuple[int, ...], weights: str, rng: np.random.Generator) -> pf.ReLUNetwork:
    """Gaussian weights of size 1 / sqrt(width); half of them and one neuron pruned; or in steps of an eighth."""
    W = [rng.standard_normal((b, a)) * np.sqrt(2 / a) for a, b in zip(widths[:-1], widths[1:])]
    c = [0.3 * rng.standard_normal(b) for b in widths[1:]]
    if weights == "pruned":
        W = [w * (rng.random(w.shape) < 0.5) for w in W]
        W[-2][0], c[-2][0] = 0.0, 0.0
    elif weights == "quantised":
        W, c = [np.round(8 * w) / 8 for w in W], [np.round(8 * v) / 8 for v in c]
    return pf.ReLUNetwork([w + 0.0 for w in W], [v + 0.0 for v in c]).exact()


def rewritten(net: pf.ReLUNetwork, rng: np.random.Generator, names: Iterable[str]) -> pf.ReLUNetwork:
    """After three exact operators, permutation and rescaling at the end."""
    some = list(names)
    for name in [*rng.choice(some, 3), "permute", "rescale"]:
        net = OPERATORS[str(name)](net, rng) or net
    return net


def quantised(net: pf.ReLUNetwork) -> pf.ReLUNetwork:
    """Every weight rounded to 8 bits of the largest of its layer."""
    steps = [max(abs(v) for v in w.ravel()) / 127 for w in net.weights]
    return pf.ReLUNetwork(
        [np.array([[round(v / s) * s for v in row] for row in w], dtype=object) for w, s in zip(net.weights, steps)],
        net.biases,
    )


def sized(seed: int, seconds: float = 10.0) -> dict[str, Any]:
    """One larger pair; kinds, sizes and questions go round."""
    rng = np.random.default_rng(seed)
    number = seed % 10**7
    number, which = divmod(number, len(KINDS))
    number, at = divmod(number, len(SIZES))
    kind, widths, mode = KINDS[which], SIZES[at], QUESTIONS[number % len(QUESTIONS)]
    weights = WEIGHTS[int(rng.integers(len(WEIGHTS)))]
    if kind == "its quantised copy":
        weights = "gaussian" if weights == "quantised" else weights
    base = sized_network(widths, weights, rng)
    where = None
    if kind.startswith("equal"):
        f, g = (rewritten(base, rng, SYMMETRIES if "symm" in kind else OPERATORS) for _ in range(2))
    elif kind == "its quantised copy":
        f, g = base, rewritten(quantised(base), rng, SYMMETRIES)
    else:
        change = {"pyramid": pyramid, "one parameter": one_parameter, "constant": constant_shift}[kind]
        miss = change(base, rng)
        f, g, where = base, rewritten(miss.network, rng, SYMMETRIES), miss.where
    if rng.random() < 0.5:
        f, g = g, f
    n = widths[0]
    box = pf.Box(-1, 1, dimension=n) if mode == "box" else None
    level, _ = (0.0, None) if kind.startswith("equal") else residual(f, g, inputs(n, where, rng, box))
    found = judged(f, g, box, mode, kind, level, seconds)
    return {"seed": seed, "size": "-".join(map(str, widths)), "weights": weights, **found}


def _row(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |"


def _counts(lines: list[dict[str, Any]]) -> list[int]:
    said = Counter(line["said"] for line in lines)
    return [said["YES"], said["NO"], said["UNDECIDED"], sum(line["wrong"] for line in lines)]


def _runs(lines: list[dict[str, Any]], mode: str) -> str:
    counted = Counter(line["seed"] // 10**7 for line in lines)
    return f"`--mode {mode}`: " + ", ".join(f"`--seed {seed} --count {n}`" for seed, n in sorted(counted.items()))


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def confusion(lines: list[dict[str, Any]]) -> list[str]:
    """The confusion matrix: what pairs are against what was said, for each question."""
    rows = [_row(("question and truth", "pairs", "YES", "NO", "UNDECIDED", "wrong")), _row(["---"] * 6)]
    runs, totals = [], np.zeros(5, dtype=int)
    for mode, question in QUESTION.items():
        mine = [line for line in lines if line["mode"] == mode and "size" not in line]
        if not mine:
            continue
        groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in mine:
            groups["in the grey zone" if line["grey"] else line["kind"]].append(line)
        for kind in sorted(groups, key=lambda k: (k == "in the grey zone", k != "equal", k)):
            counts = [len(groups[kind]), *_counts(groups[kind])]
            totals += counts
            rows.append(
                _row(
                    (f"{question}: {kind if kind in ('equal', 'in the grey zone') else 'different, ' + kind}", *counts)
                )
            )
        clear = [line for line in mine if not line["grey"]]
        left = sum(line["said"] == "UNDECIDED" for line in clear)
        runs.append(
            f"- {question}: {len(mine)} pairs, {sum(line['wrong'] for line in mine)} wrong, {left} of {len(clear)} outside the grey zone undecided "
            f"({100 * left / max(1, len(clear)):.2g} %); {_runs(mine, mode)}"
        )  # fmt: skip
    rows.append(_row(("**all**", *totals)))
    return [*rows, "", *(line for run in runs for line in _wrapped(run, "  "))]


def larger(lines: list[dict[str, Any]]) -> list[str]:
    """Undecided of all pairs, for each size, question and kind."""
    mine = [line for line in lines if "size" in line]
    kinds = [k for k in KINDS if any(line["kind"] == k for line in mine)]
    rows = [_row(("widths", "question", *kinds, "wrong")), _row(["---"] * (len(kinds) + 3))]
    for size in dict.fromkeys("-".join(map(str, s)) for s in SIZES):
        for mode, question in QUESTION.items():
            some = [line for line in mine if line["size"] == size and line["mode"] == mode and not line["grey"]]
            if some:
                each = [[line["said"] == "UNDECIDED" for line in some if line["kind"] == k] for k in kinds]
                shares = [f"{sum(e)} of {len(e)}" if e else "" for e in each]
                rows.append(_row((size, question, *shares, sum(line["wrong"] for line in some))))
    return [*rows, "", *_wrapped(f"{_runs(mine, 'sizes')}.", "")] if mine else []


def tables(files: list[str], page: str | None) -> None:
    """Print the tables of runs, or put them between ``<!-- NAME -->`` and ``<!-- end of NAME -->`` on a page."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for file in files:
        for text in Path(file).read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            found["sizes" if "size" in line else line["mode"], line["seed"]] = line
    parts = {"confusion matrix": confusion(list(found.values())), "larger sizes": larger(list(found.values()))}
    if page is None:
        print("\n\n".join("\n".join(rows) for rows in parts.values() if rows))
        return
    text = Path(page).read_text(encoding="utf-8")
    for name, rows in parts.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if rows and begin in text and end in text:
            head, rest = text.split(begin, 1)
            text = f"{head}{begin}\n" + "\n".join(rows) + f"\n{end}{rest.split(end, 1)[1]}"
    Path(page).write_text(text, encoding="utf-8")
