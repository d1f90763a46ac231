"""A corpus of networks that are not generic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..network.model import ReLUNetwork
from .hostile import huge_ratio_network, integer_network, near_coincident_network, rescaled, subnormal_network
from .identities import box_inequalities


@dataclass(frozen=True)
class Case:
    """A network of the degenerate corpus.

    domain : None for all of R^n0, else (A, b) with rows A x <= b, as tuples
    about : what is degenerate, in words

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.testing import Case
    >>> Case("dead", pf.ReLUNetwork([[[1.0], [0.0]], [[1.0, 1.0]]], [[0, -1], [0]]), "a neuron that is never active").name
    'dead'
    """

    name: str
    network: ReLUNetwork
    about: str
    domain: tuple[tuple[tuple[Any, ...], ...], tuple[Any, ...]] | None = None

    def __repr__(self) -> str:
        where = "" if self.domain is None else f", {len(self.domain[1])} half-spaces"
        return f"Case({self.name!r}, {'-'.join(map(str, self.network.architecture))}{where})"


def degenerate_corpus() -> list[Case]:
    """Networks that are not generic, with names; at least 60, always the same.

    Concurrent, parallel, coincident, antiparallel and duplicate walls; zero biases and zero rows; dead
    and constant neurons; walls of different layers that coincide on a cell; neurons that vanish on
    a whole cell; first layers of small rank; near-coincident floats; layers of 65 and more;
    domains whose facets meet walls.

    Examples
    --------
    >>> from polyfiber.testing import degenerate_corpus
    >>> len(degenerate_corpus()) >= 60
    True
    """
    cases = [*_one_layer(), *_deep(), *_random_integer(), *_floats(), *_wide(), *_on_domains()]
    names = [case.name for case in cases]
    if len(set(names)) != len(names):
        raise AssertionError("two cases of the corpus share a name")
    return cases


def _arrangement(rows: Sequence[Sequence[Any]], constants: Sequence[Any]) -> ReLUNetwork:
    """One hidden layer with the given walls, output 1 for each neuron in turn with signs."""
    out = [[(-1) ** i * (i + 1) for i in range(len(rows))]]
    exact = any(isinstance(v, Fraction) for row in (*rows, constants) for v in row)
    if exact:
        convert = np.vectorize(Fraction, otypes=[object])
        return ReLUNetwork(
            [convert(np.array(rows, dtype=object)), convert(np.array(out, dtype=object))],
            [convert(np.array(constants, dtype=object)), convert(np.array([0], dtype=object))],
        )
    return ReLUNetwork([rows, out], [constants, [0]])


def _pencil(m: int) -> list[list[int]]:
    """m integer directions, no two parallel."""
    found: list[list[int]] = []
    size = 1
    while len(found) < m:
        for p in range(-size, size + 1):
            for q in range(size + 1):
                if max(abs(p), q) == size and np.gcd(p, q) == 1 and (q > 0 or p > 0) and [p, q] not in found:
                    found.append([p, q])
        size += 1
    return found[:m]


def _one_layer() -> Iterator[Case]:
    eye3 = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    yield Case("concurrent-8", _arrangement(_pencil(8), [0] * 8), "8 lines through the origin")
    yield Case(
        "concurrent-12-off-origin",
        _arrangement(_pencil(12), [-(3 * p + 2 * q) for p, q in _pencil(12)]),
        "12 lines through (3, 2)",
    )
    four = ([[1, 0], [0, 1], [1, 1], [1, -2]], [0, 0, -1, 3])
    yield Case("four-generic-lines", _arrangement(*four), "the generic neighbour of the next ones")
    yield Case("duplicate-line", _arrangement([*four[0], [1, 1]], [*four[1], -1]), "four generic lines, one twice")
    yield Case("scaled-duplicate-line", _arrangement([*four[0], [3, 3]], [*four[1], -3]), "one line twice, scaled by 3")
    yield Case("antiparallel-line", _arrangement([*four[0], [-1, -1]], [*four[1], 1]), "one line from both sides")
    yield Case(
        "two-parallel-pairs-and-diagonal",
        _arrangement([[1, 0], [1, 0], [0, 1], [0, 1], [1, 1]], [0.5, -0.5, 0.5, -0.5, 0]),
        "x = +-1/2, y = +-1/2 and a diagonal through two crossings",
    )
    yield Case(
        "grid-6-6",
        _arrangement([[1, 0]] * 6 + [[0, 1]] * 6, [*range(6), *range(6)]),
        "two families of six parallel lines",
    )
    yield Case(
        "grid-with-diagonals",
        _arrangement(
            [[1, 0]] * 4 + [[0, 1]] * 4 + [[1, 1]] * 4 + [[1, -1]] * 4, [*range(4), *range(4), *range(4), *range(4)]
        ),
        "four families of parallel lines with many triple and quadruple points",
    )
    yield Case("three-two", ReLUNetwork([[[1, 2, 0], [0, 1, -1]], [[1, 1]]], [[1, 0], [0]]), "3-2: no vertices")
    yield Case(
        "rank-one-in-three",
        _arrangement([[1, 1, 0], [2, 2, 0], [-1, -1, 0], [3, 3, 0]], [0, 2, 5, 0]),
        "four parallel planes in R^3, two of them equal: lineality 2",
    )
    yield Case(
        "rank-two-in-four",
        _arrangement([[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1], [1, -1, 1, -1], [2, 0, 2, 0]], [0, 0, 0, 1, -1]),
        "rank 2 in R^4 with concurrent and parallel walls: lineality 2",
    )
    yield Case("all-rows-zero", _arrangement([[0, 0], [0, 0], [0, 0]], [1, -1, 0]), "every neuron constant: one cell")
    yield Case(
        "zero-rows-among-lines",
        _arrangement([[1, 0], [0, 0], [0, 1], [0, 0], [0, 0]], [0, 1, 0, -1, 0]),
        "two lines; neurons constant 1, -1 and 0",
    )
    yield Case("zero-biases-3d", _arrangement([*eye3, [1, 1, 1], [1, -1, 2]], [0] * 5), "five planes through 0 in R^3")
    yield Case("braid-3d", _arrangement([[1, -1, 0], [0, 1, -1], [1, 0, -1]], [0] * 3), "braid arrangement A_2 in R^3")
    braid = [[int(k == i) - int(k == j) for k in range(4)] for i in range(4) for j in range(i + 1, 4)]
    yield Case("braid-4d", _arrangement(braid, [0] * 6), "braid arrangement A_3 in R^4: 24 regions, lineality 1")
    type_b = [*eye3, [1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1]]
    yield Case("reflection-b3", _arrangement(type_b, [0] * 9), "reflection arrangement B_3: 48 regions")
    shi = [row for row in [[1, -1, 0], [0, 1, -1], [1, 0, -1]] for _ in range(2)]
    yield Case("shi-3", _arrangement(shi, [0, -1] * 3), "Shi arrangement in R^3: 16 regions, lineality 1")
    cube = [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    yield Case(
        "cube-with-diagonal-planes",
        _arrangement(
            [*cube, [1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1], [1, -1, 0], [0, 1, -1]], [1, -1] * 3 + [0] * 6
        ),
        "facet planes of a cube and planes through its vertices and centre",
    )
    yield Case(
        "repeated-points-1d", _arrangement([[1], [2], [-1], [1], [3], [1]], [0, 0, 0, -1, -3, 2]), "1-D, 3 points"
    )
    yield Case(
        "many-points-1d",
        _arrangement(
            [[(-1) ** i * (1 + i % 3)] for i in range(14)], [(-1) ** i * (1 + i % 3) * (i % 5) for i in range(14)]
        ),
        "1-D: 14 neurons on 5 points",
    )
    third = Fraction(1, 3)
    yield Case(
        "exact-thirds",
        _arrangement([[1, 0], [0, 1], [1, 1], [third, -third]], [-third, -2 * third, -1, Fraction(1, 9)]),
        "rational weights: four lines through (1/3, 2/3)",
    )
    tenth = Fraction(1, 10)
    yield Case(
        "exact-tenths",
        _arrangement([[1, 0], [0, 1], [1, 1]], [-tenth, -2 * tenth, -3 * tenth]),
        "x = 1/10, y = 1/5, x + y = 3/10 as rationals: concurrent",
    )


def _deep() -> Iterator[Case]:
    yield Case(
        "max-network",
        ReLUNetwork([[[1, -1], [0, 1], [0, -1]], [[1, 1, -1], [0, 0, 1]], [[1, 1]]], [[0] * 3, [0] * 2, [0]]),
        "computes max(x, y): no biases; layer 2 vanishes on cells",
    )
    yield Case(
        "max-of-four",
        _max_network(4),
        "max of four inputs by a tree of maxima, no biases",
    )
    yield Case(
        "identity-through-two",
        ReLUNetwork([[[1], [-1]], [[1, -1], [-1, 1]], [[1, -1]]], [[0, 0], [0, 0], [0]]),
        "layer 2 is x and -x again: walls of both layers coincide",
    )
    yield Case(
        "same-wall-three-layers",
        ReLUNetwork(
            [
                [[1, 0], [-1, 0], [0, 1], [0, -1]],
                [[1, -1, 0, 0], [0, 0, 1, -1], [1, -1, 1, -1]],
                [[1, -1, 0]] * 2,
                [[1, 1]],
            ],
            [[0] * 4, [0] * 3, [0, 1], [0]],
        ),
        "x = 0 and y = 0 again in layer 2",
    )
    yield Case(
        "zero-behind-dead-layer",
        ReLUNetwork([[[1, 0], [0, 1]], [[1, 1], [-1, 2]], [[1, 1]]], [[0, 0], [0, 0], [0]]),
        "layer 2 vanishes identically on the quadrant x, y <= 0",
    )
    yield Case(
        "dead-second-layer",
        ReLUNetwork(
            [[[1, 0], [0, 1], [1, 1]], [[-1, -1, -1], [-1, 0, 0]], [[1, 1]], [[1]]], [[0] * 3, [0, -1], [0], [0]]
        ),
        "layer 2 never positive, zero on a quadrant; layer 3 zero everywhere",
    )
    yield Case(
        "dead-in-the-middle",
        ReLUNetwork(
            [[[1, 1], [1, -1], [-1, 2]], [[0, 0, 0], [1, 1, -1], [0, 0, 0]], [[1, 1, 1], [2, -1, 1]], [[1, 1]]],
            [[0, 1, 0], [-1, 0, 2], [0, -2], [0]],
        ),
        "zero rows in layer 2, one constant negative and one constant positive",
    )
    yield Case(
        "duplicate-in-second-layer",
        ReLUNetwork(
            [[[1, 0], [0, 1], [1, 2]], [[1, 1, -1], [2, 2, -2], [-1, -1, 1]], [[1, 1, 1]]],
            [[0, 1, -1], [-1, -2, 1], [0]],
        ),
        "layer 2: one neuron three times, scaled and reversed",
    )
    yield Case(
        "layer-two-wall-on-layer-one-wall",
        ReLUNetwork([[[1, 0], [0, 1]], [[1, 0], [1, 1]], [[1, 1]]], [[-1, -1], [0, 0], [0]]),
        "layer 2 vanishes where x <= 1, with its boundary on the wall x = 1",
    )
    yield Case(
        "bent-through-vertex",
        ReLUNetwork(
            [[[1, 0], [0, 1], [1, 1]], [[1, 1, -1], [1, -1, 0], [1, 1, 1]], [[1, 1, 1]]], [[0, 0, 0], [0, 0, -2], [0]]
        ),
        "walls of layer 2 through the triple point of layer 1",
    )
    yield Case(
        "narrow-first-layer",
        ReLUNetwork(
            [[[1, 2, 3, 0], [0, 1, 1, 1]], [[1, -1], [1, 1], [2, 2]], [[1, 0, -1]] * 2, [[1, 1]]],
            [[0, 0], [0, -1, -2], [0, 0], [0]],
        ),
        "4 inputs through 2 neurons: lineality 2, degenerate behind",
    )
    yield Case(
        "rank-deficient-first-layer",
        ReLUNetwork(
            [[[1, 1, 0], [1, -1, 0], [2, 0, 0], [0, 2, 0]], [[1, 1, -1, 0], [0, 1, 1, 1]], [[1, 1]]],
            [[0] * 4, [0, -1], [0]],
        ),
        "4 neurons of rank 2 in R^3: lineality 1 and concurrent walls",
    )
    yield Case(
        "sawtooth-1d",
        ReLUNetwork([[[2], [4]], [[1, -1], [2, -2]], [[2, -4], [1, -2]], [[1, 1]]], [[0, -2], [0, -1], [0, 0], [0]]),
        "composed tent maps with folds on breakpoints",
    )
    yield Case(
        "one-neuron-layers", ReLUNetwork([[[1, 1]], [[1]], [[1]], [[1]]], [[0], [0], [-1], [0]]), "widths 1, 1, 1"
    )
    yield Case(
        "absolute-values",
        ReLUNetwork(
            [
                [[1, 0], [-1, 0], [0, 1], [0, -1]],
                [[1, 1, -1, -1], [-1, -1, 1, 1], [1, 1, 1, 1]],
                [[1, 1, -1], [1, 0, 0]],
                [[1, 1]],
            ],
            [[0] * 4, [0, 0, -1], [0, 0], [0]],
        ),
        "|x| - |y|, |x| + |y| - 1, and ||x| - |y|| - (|x| + |y| - 1)^+",
    )
    yield Case(
        "compare-exchange-3",
        _compare_exchange(),
        "two compare-exchange steps of a sorting network on three inputs: 14 hidden neurons, no biases",
    )
    yield Case(
        "quantised-distance",
        ReLUNetwork(
            [
                [[1, 0], [-1, 0], [0, 1], [0, -1]],
                [[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, -1, -1]] * 2,
                [[1, 0, 0, 1, 0, 0, 0, 0]] * 2,
                [[1, -1]],
            ],
            [[0] * 4, [-1, -1, -2, 0, -2, -2, -3, -1], [0, -1], [0]],
        ),
        "concentric squares |x|, |y|, |x| + |y| at integer levels: 14 neurons",
    )


def _max_network(n: int) -> ReLUNetwork:
    """Maximum of n = 2^k inputs; layer by layer max(a, b) = (a - b)^+ + b^+ - (-b)^+."""
    weights: list[Any] = []
    read = np.eye(n)  # what the current values are, in the outputs of the last layer
    while n > 1:
        rows = []
        for i in range(0, n, 2):
            rows += [read[i] - read[i + 1], read[i + 1], -read[i + 1]]
        weights.append(np.array(rows))
        n //= 2
        read = np.zeros((n, 3 * n))
        for i in range(n):
            read[i, 3 * i : 3 * i + 3] = [1, 1, -1]
    weights.append(read)
    return ReLUNetwork(weights, [np.zeros(len(w)) for w in weights])


def _compare_exchange() -> ReLUNetwork:
    """(a, b, c) -> compare a with b, then the smaller with c; max = (p - q)^+ + q, min = p - (p - q)^+."""
    w1 = [[1, -1, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]
    high = [1, 0, 0, 1, -1, 0, 0]  # max(a, b)
    low = [-1, 1, -1, 0, 0, 0, 0]  # min(a, b)
    last = [0, 0, 0, 0, 0, 1, -1]  # c
    pairs = np.array([low, last])
    w2 = np.vstack([pairs[0] - pairs[1], pairs[0], -pairs[0], pairs[1], -pairs[1], high, [-h for h in high]])
    out = np.array([[1, 0, 0, 1, -1, 0, 0], [-1, 1, -1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, -1]])
    return ReLUNetwork([w1, w2, out], [np.zeros(7), np.zeros(7), np.zeros(3)])


def _random_integer() -> Iterator[Case]:
    """Random networks with weights in {-1, 0, 1} or {-2, …, 2}; from 12 neurons on."""
    shapes: list[tuple[tuple[int, ...], int]] = [
        ((2, 12, 1), 1),
        ((2, 16, 1), 2),
        ((3, 12, 1), 1),
        ((2, 6, 6, 1), 1),
        ((2, 8, 8, 1), 1),
        ((2, 8, 8, 1), 2),
        ((2, 5, 5, 5, 1), 1),
        ((2, 4, 4, 4, 4, 1), 2),
        ((2, 4, 4, 4, 4, 4, 1), 1),
        ((3, 6, 6, 1), 1),
        ((3, 6, 6, 1), 2),
        ((3, 4, 4, 4, 1), 1),
        ((4, 6, 6, 1), 1),
        ((4, 3, 6, 4, 1), 1),
        ((1, 12, 12, 1), 2),
        ((1, 6, 6, 6, 1), 1),
        ((6, 2, 8, 4, 1), 2),
        ((2, 10, 3, 10, 1), 1),
    ]
    for index, (widths, size) in enumerate(shapes):
        name = f"integer-{'-'.join(map(str, widths))}-abs{size}"
        if index and shapes[index - 1] == (widths, size):
            name += "-again"
        yield Case(name, integer_network(widths, rng=100 + index, max_abs=size), f"weights in -{size}..{size}")
    for seed, widths in enumerate([(2, 7, 7, 1), (3, 5, 5, 3, 1), (2, 5, 5, 5, 1)]):
        net = integer_network(widths, rng=200 + seed, max_abs=2)
        flat = ReLUNetwork(net.weights, [0 * b for b in net.biases])
        yield Case(f"fan-{'-'.join(map(str, widths))}", flat, "integer weights, no biases: a fan")


def _floats() -> Iterator[Case]:
    one = 1.0
    next_one = float(np.nextafter(1.0, 2.0))
    yield Case("ulp-apart", _arrangement([[1.0], [1.0], [1.0]], [-one, -next_one, -one]), "points 1, 1 + 2^-52, 1")
    yield Case(
        "float-tenths",
        _arrangement([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [-0.1, -0.2, -0.3]),
        "0.1 + 0.2 > 0.3 in floats: a triangle of size 1e-17",
    )
    yield Case(
        "scaled-by-three",
        _arrangement([[0.1, 0.7], [3 * 0.1, 3 * 0.7], [1.0, -1.0]], [0.3, 3 * 0.3, 0.0]),
        "a row and its rounded triple: walls that cross at a tiny angle or are parallel",
    )
    yield Case(
        "nearly-concurrent-6",
        _arrangement([[float(p), float(q)] for p, q in _pencil(6)], [-(p * 0.1 + q * 0.7) for p, q in _pencil(6)]),
        "six lines through (0.1, 0.7) up to rounding",
    )
    yield Case("near-pairs-2-6-6", near_coincident_network((2, 6, 6, 1), rng=1), "rows in pairs, a few ulps apart")
    yield Case("near-pairs-3-6-6", near_coincident_network((3, 6, 6, 1), rng=2), "the same in R^3")
    yield Case("near-pairs-2-4-4-4", near_coincident_network((2, 4, 4, 4, 1), rng=3), "the same in three layers")
    yield Case("exact-pairs-2-6-6", near_coincident_network((2, 6, 6, 1), rng=4, ulps=0), "copies and rounded triples")
    tiny = ReLUNetwork.random((2, 6, 6, 1), rng=5)
    exponents = [[200, -200, 150, -150, 3, 0], [-200, 200, 0, 100, -100, 1]]
    yield Case("rescaled-200", rescaled(tiny, exponents), "a generic network rescaled by 2^+-200: the same complex")
    flat = ReLUNetwork(tiny.weights, [0 * b for b in tiny.biases])
    yield Case("float-fan-2-6-6", flat, "Gaussian weights, no biases: a fan")
    deep = ReLUNetwork.random((3, 4, 4, 4, 1), rng=6)
    yield Case("float-fan-3-4-4-4", ReLUNetwork(deep.weights, [0 * b for b in deep.biases]), "the same, deeper")
    yield Case("huge-ratios-2-6-6", huge_ratio_network((2, 6, 6, 1), rng=7), "entries from 2^-200 to 2^200")
    yield Case("subnormal-2-6-6", subnormal_network((2, 6, 6, 1), rng=8), "first layer at 2^-1060")
    half = ReLUNetwork.random((2, 8, 4, 1), rng=9)
    twice = [np.vstack([half.weights[0], half.weights[0][::-1]]), np.hstack([half.weights[1]] * 2), half.weights[2]]
    yield Case(
        "duplicated-layer-2-16-4",
        ReLUNetwork(twice, [np.concatenate([half.biases[0], half.biases[0][::-1]]), *half.biases[1:]]),
        "every neuron of the first layer twice",
    )
    pruned = ReLUNetwork.random((3, 8, 8, 1), rng=10)
    masks = np.random.default_rng(11)
    sparse = [w * (masks.random(w.shape) < 0.35) for w in pruned.weights]
    yield Case("pruned-3-8-8", ReLUNetwork(sparse, pruned.biases), "two thirds of the weights are zero")


def _wide() -> Iterator[Case]:
    """Layers of 65 neurons and more."""
    yield Case("concurrent-70", _arrangement(_pencil(70), [0] * 70), "70 lines through the origin: 140 regions")
    yield Case(
        "grid-33-33",
        _arrangement([[1, 0]] * 33 + [[0, 1]] * 33, [*range(33), *range(33)]),
        "66 lines in two parallel families: 34 x 34 regions",
    )
    few = _pencil(5)
    rows = [[(1 + i // 5) * (-1) ** (i // 5) * v for v in few[i % 5]] for i in range(70)]
    shifts = [(1 + i // 5) * (-1) ** (i // 5) * (i % 5 - 2) for i in range(70)]
    yield Case("five-lines-70-times", _arrangement(rows, shifts), "70 neurons on 5 lines")
    yield Case(
        "points-1d-130",
        _arrangement(
            [[(-1) ** i * (1 + i % 7)] for i in range(130)], [(-1) ** i * (1 + i % 7) * (i % 43) for i in range(130)]
        ),
        "130 neurons on 43 points of the line",
    )
    yield Case(
        "parallel-80-in-three",
        _arrangement([[1 + i % 2, 2 + 2 * (i % 2), -1 - i % 2] for i in range(80)], [i % 60 for i in range(80)]),
        "80 parallel planes in R^3, some equal: lineality 2",
    )
    generator = np.random.default_rng(12)
    first = [[1, 0], [0, 1], [1, 1], [1, -1]]
    second = generator.integers(-1, 2, size=(65, 4))
    yield Case(
        "wide-second-2-4-65",
        ReLUNetwork([first, second, np.ones((1, 65))], [[0, 0, -1, 0], generator.integers(-1, 2, size=65), [0]]),
        "65 small integer neurons over 4: most of them coincide",
    )
    third = generator.integers(-1, 2, size=(3, 66))
    yield Case(
        "wide-first-1-66-3",
        ReLUNetwork(
            [[[(-1) ** i] for i in range(66)], third, [[1, 1, 1]]],
            [[(-1) ** i * (i % 20) for i in range(66)], [0, 1, -1], [0]],
        ),
        "66 neurons on 20 points, three integer neurons behind",
    )


def _on_domains() -> Iterator[Case]:
    square = box_inequalities([-1, -1], [1, 1])
    diagonal = _arrangement([[1, 1], [1, -1], [1, 0], [0, 1]], [0, 0, -1, 0])
    yield Case("box-walls-on-corners", diagonal, "diagonals of the square, a wall on its side", square)
    yield Case(
        "box-outside-walls",
        _arrangement([[1, 0], [0, 1], [1, 1]], [-5, 5, -2]),
        "walls beside the square; one touches it at a corner",
        square,
    )
    yield Case(
        "box-all-facets-are-walls",
        _arrangement([[1, 0], [-1, 0], [0, 2], [0, -2]], [1, 1, 2, 2]),
        "every facet of the square is a wall",
        square,
    )
    yield Case("max-in-box", _max_network(2), "the max network on the square", square)
    triangle = (((-1, 0), (0, -1), (1, 1)), (0, 0, 1))
    yield Case("max-in-triangle", _max_network(2), "the max network on a triangle with a corner at 0", triangle)
    redundant = (((-1, 0), (0, -1), (1, 1), (2, 2), (1, 0), (1, 1)), (0, 0, 1, 2, 1, 7))
    yield Case(
        "redundant-domain",
        integer_network((2, 5, 4, 1), rng=300, max_abs=1),
        "a triangle with duplicate, touching and distant inequalities",
        redundant,
    )
    strip = (((1, 0, 0), (-1, 0, 0)), (1, 1))
    yield Case(
        "strip-with-lineality",
        _arrangement([[1, 1, 0], [1, -1, 0], [1, 0, 0]], [0, 0, -1]),
        "a slab in R^3 and walls that all contain the third axis: lineality 1",
        strip,
    )
    cube = box_inequalities([0, 0, 0], [1, 1, 1])
    yield Case(
        "cube-with-diagonals",
        integer_network((3, 6, 6, 1), rng=301, max_abs=1),
        "integer walls through vertices of the unit cube",
        cube,
    )
    yield Case(
        "flat-domain",
        _arrangement([[1, 0], [0, 1], [1, 1], [1, -1]], [0, 0, -1, 0]),
        "a segment in the plane: two opposite inequalities",
        (((1, 1), (-1, -1), (1, 0), (-1, 0)), (1, -1, 2, 2)),
    )
