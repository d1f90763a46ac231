"""Attack on the reading of torch modules: random programs of views, aliases and changes in place, against torch.

    python scripts/attacks/files/torch_modules.py [--count 300] [--seconds 0] [--seed 0] [--points 12]

A program is a list of statements on a pool of variables, many of which share memory: views, slices, chunks, functions in
place, augmented assignments, assignments to slices, ``out=``, layers, joins. Truth: torch runs the program, at points of
three sizes (changes that matter rarely show at large ones). The network as read must give the same values, or an error
must say why not. Prints counts; exits 1 if a value is wrong, or an error is none of ours.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import polyfiber as pf
from polyfiber.errors import PolyfiberError

F = torch.nn.functional
Step = Callable[[list[Any]], None]


class Program(torch.nn.Module):
    """Runs its statements; the pool begins with the input and what one layer makes of it."""

    def __init__(self, steps: list[Step], parts: torch.nn.ModuleList) -> None:
        super().__init__()
        self.steps, self.parts = steps, parts

    def forward(self, x: Any) -> Any:
        pool = [x, self.parts[0](x)]
        for step in self.steps:
            step(pool)
        return torch.cat([v.reshape(1, -1) for v in pool[-3:]], dim=1)


def view(rng: np.random.Generator) -> Callable[[Any], Any]:
    """Something that usually shares the memory of a tensor."""
    k, dim = int(rng.integers(0, 8)), int(rng.integers(0, 2))
    table: list[Callable[[Any], Any]] = [
        lambda t: t,
        lambda t: t.view(1, -1) if t.is_contiguous() else t.transpose(-1, -2),
        lambda t: t.detach(),
        lambda t: t.flatten(1),
        lambda t: t.chunk(2, -1)[k % min(2, t.shape[-1])],
        lambda t: t[..., k % t.shape[-1] :],
        lambda t: t[..., :: 1 + k % 2],
        lambda t: t.unsqueeze(dim),
        lambda t: t.reshape(1, -1),
        lambda t: t.transpose(0, -1),
        lambda t: t.contiguous(),
        lambda t: F.dropout(t, training=False),
        lambda t: t.to(t.dtype),
        lambda t: t.select(-1, k % t.shape[-1]).reshape(1, -1),
        lambda t: t.clone(),
        lambda t: t.flip(-1),
        lambda t: t.data,
    ]
    return table[int(rng.integers(len(table)))]


def change(rng: np.random.Generator) -> Callable[[Any, Any], Any]:
    """Something that changes a tensor in place."""
    k, c = int(rng.integers(0, 8)), float(rng.choice([0.0, 0.5, -1.0, 40.0]))

    def plus(t: Any, o: Any) -> Any:
        t += (o.reshape(-1)[: t.numel()].sum() - c).relu()
        return t

    def minus(t: Any, o: Any) -> Any:
        t -= c
        return t

    def times(t: Any, o: Any) -> Any:
        t *= 0.5
        return t

    def items(t: Any, o: Any) -> Any:
        t[..., k % t.shape[-1]] = o.reshape(-1)[0] if k % 2 else c
        return t

    def halves(t: Any, o: Any) -> Any:
        t[..., ::2] = t[..., :1].abs()
        return t

    def into(t: Any, o: Any) -> Any:
        return torch.sub(t, c, out=t)

    return [
        plus,
        minus,
        times,
        items,
        halves,
        into,
        lambda t, o: F.relu_(t),
        lambda t, o: F.hardtanh_(t, -50.0, 50.0),
        lambda t, o: F.leaky_relu(t, 0.1, inplace=True),
        lambda t, o: t.clamp_(max=c),
        lambda t, o: t.add_(1.0),
        lambda t, o: t.neg_(),
        lambda t, o: t.zero_() if k == 7 else t.abs_(),
        lambda t, o: t.copy_(o.reshape(-1)[:1].expand(t.shape)),
        lambda t, o: t.masked_fill_(torch.arange(t.shape[-1]) % 3 == 0, c),
        lambda t, o: t.squeeze_(0).unsqueeze_(0) if t.dim() > 1 else t,
    ][int(rng.integers(16))]


def statement(rng: np.random.Generator, parts: torch.nn.ModuleList) -> Step:
    """One statement: a new name for old memory, a change, a layer, a join."""
    a, b, kind = int(rng.integers(1 << 20)), int(rng.integers(1 << 20)), float(rng.random())
    if kind < 0.35:
        shown = view(rng)
        return lambda pool: pool.append(shown(pool[a % len(pool)]))
    if kind < 0.7:
        changed, alias = change(rng), view(rng)

        def run(pool: list[Any]) -> None:
            changed(alias(pool[a % len(pool)]), pool[b % len(pool)])

        return run
    if kind < 0.85:
        layer = torch.nn.Linear(4, 4).double()
        parts.append(layer)

        def dense(pool: list[Any]) -> None:
            t = pool[a % len(pool)].reshape(1, -1)
            pool.append(layer(F.pad(t, (0, max(0, 4 - t.shape[1])))[:, :4]))

        return dense
    join = [torch.maximum, torch.add, torch.sub, lambda t, o: F.relu(t - o)][int(rng.integers(4))]

    def joined(pool: list[Any]) -> None:
        t, o = pool[a % len(pool)].reshape(-1), pool[b % len(pool)].reshape(-1)
        n = min(len(t), len(o))
        pool.append(join(t[:n], o[:n]).reshape(1, -1))

    return joined


def attack(rng: np.random.Generator, points: int, counts: Counter[str]) -> None:
    """One program."""
    parts = torch.nn.ModuleList([torch.nn.Linear(4, 4).double()])
    program = Program([statement(rng, parts) for _ in range(int(rng.integers(3, 12)))], parts)
    program.eval()
    X = [scale * torch.randn(1, 4, dtype=torch.float64) for scale in (1.0, 20.0, 400.0) for _ in range(points // 3)]
    try:
        with torch.no_grad():
            truth = [program(x.clone()).numpy().ravel() for x in X]
    except RuntimeError:
        counts["not a program"] += 1
        return
    try:
        network = pf.from_torch(program, input_shape=(4,))
    except PolyfiberError as error:
        counts[f"refused: {str(error)[:60]}"] += 1
        return
    found = [network(x.numpy().ravel()) for x in X]
    counts["read"] += 1
    for t, f in zip(truth, found):
        if t.shape != f.shape or not np.allclose(t, f, rtol=1e-8, atol=1e-8 * max(1.0, float(np.abs(t).max()))):
            counts["WRONG"] += 1
            print("wrong:", t[:6], f[:6], network)
            return


def main() -> int:
    """Count programs until there are enough, or time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--points", type=int, default=12)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    start, k = time.monotonic(), 0
    while k < options.count or time.monotonic() - start < options.seconds:
        rng = np.random.default_rng([options.seed, k])
        torch.manual_seed(k)
        attack(rng, options.points, counts)
        k += 1
    for what, n in counts.most_common():
        print(f"{n:6d}  {what}")
    return 1 if counts["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
