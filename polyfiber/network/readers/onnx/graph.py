"""ONNX graphs as wirings: each node that the outputs need, after those that it needs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...._typing import Array, IntArray
from ....errors import FileFormatError, InputError, PolyfiberError, ShapeError, UnsupportedLayerError
from ...model import ReLUNetwork
from ...names import printable
from ...piecewise import PiecewiseLinearNetwork
from ...wiring.assembly import assemble
from ...wiring.slots import Place, Wiring
from ...wiring.units import clip, extremum, limited, relu, sloped
from .affine import AFFINE, added, grouped, materialised, number, reduce_sum, scaler
from .constants import Constants
from .heads import HEADS, after_head
from .model import DTYPES, FLOATS, Model, Node, Schemas, tensor_values
from .movement import MOVING, Moved, moved
from .nested import branch, captured
from .rows import RowsMixed, check_inputs, check_rows
from .signals import SUPPORTED, Beyond, Signal, Thing, const, refuse, spread, unknown, weights
from .windows import windows


class Graph:
    """Reads the nodes of a model as functions of one point.

    Parameters
    ----------
    model : Model
    size : int
        Bytes of the file.
    whole : bool
        Whether a first axis of fixed size is one of features. Otherwise it is the batch, and each row is one point.
    """

    def __init__(self, model: Model, size: int, *, whole: bool = False) -> None:
        self.model, self.size, self.whole = model, size, whole
        self.batch: int | None = None  # a fixed batch size greater than 1
        self.things: dict[str, Thing] = {}
        self.integers: set[str] = set()  # signals that are integers for a runtime
        self.makers: dict[str, Node] = {}
        self.notes: list[str] = []
        self.constants = Constants(size, model.opset, self._note)
        self.schemas = Schemas(model)
        self.needed = set(model.outputs)  # names that something reads
        self.running: set[int] = set()  # nodes whose branches are being read
        self.opened = 0  # branches
        self._add(model.nodes)
        self.order = self._order(model.outputs)
        self._open_inputs()

    def _note(self, text: str) -> None:
        self.notes.append(text)

    # ---- which nodes, in which order --------------------------------------------------------
    def _add(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            self.needed.update(node.inputs)
            for name in filter(None, node.outputs):
                if name in self.makers or name in self.model.tensors or name in self.model.inputs:
                    raise FileFormatError(f"{node.label} computes {printable(name)!r}, which is there already")
                self.makers[name] = node

    def _order(self, names: Sequence[str], *, branches: bool = False) -> list[Node]:
        """The nodes that names need, each behind those that it needs; whatever order the file has them in.

        Of an ``If`` only the condition is needed, ``branches`` adds what its branches may read.
        """
        order: list[Node] = []
        state: dict[int, int] = {}  # 1: being looked at, 2: done
        stack = [(self.makers[o], False) for o in reversed(names) if o in self.makers and o not in self.things]
        while stack:
            node, done = stack.pop()
            if done:
                state[id(node)] = 2
                order.append(node)
                continue
            if state.get(id(node)) == 2:
                continue
            state[id(node)] = 1
            stack.append((node, True))
            inside = captured([node.message]) if branches and node.op in _FLOW else ()
            for name in (*node.inputs, *inside):
                before = self.makers.get(name)
                if before is None or name in self.things:
                    continue
                if state.get(id(before)) == 1:
                    raise FileFormatError(f"{before.label} needs its own result: the graph has a cycle")
                if state.get(id(before)) != 2:
                    stack.append((before, False))
        return order

    # ---- inputs -----------------------------------------------------------------------------
    def _open_inputs(self) -> None:
        model = self.model
        reached = self._order(model.outputs, branches=True)
        used = {name for node in reached for name in node.inputs} | set(model.outputs)
        used |= captured([node.message for node in reached])
        free = {n: s for n, s in model.inputs.items() if n not in model.tensors}
        real = {n: s for n, s in free.items() if n in used} or dict(list(free.items())[:1])
        if not real:
            raise UnsupportedLayerError("the graph has no input that an output depends on")
        for name in [n for n in free if n not in real]:
            self._note(f"input {printable(name)!r} is left out: no output needs it")
        for name in real:
            kind = model.types.get(name, "")
            if kind not in FLOATS and kind:
                self.integers.add(name)
                self._note(f"input {printable(name)!r} holds {kind}; the network is read as a function of real numbers")
        shapes = {name: self._input_shape(name, shape) for name, shape in real.items()}
        if self.batch is not None:
            check_inputs(list(real.values()), self.batch, printable(next(iter(real))))
        sizes = [math.prod(s) for s in shapes.values()]
        if sum(sizes) > max(self.size, 64) * 64:
            raise ShapeError(
                f"the inputs {', '.join(map(repr, real))} claim {sum(sizes):,} features; the file has {self.size:,} bytes"
            )
        self.wiring = Wiring(sum(sizes))
        at = 0
        for (name, shape), size in zip(shapes.items(), sizes):
            self.things[name] = Signal(np.arange(at, at + size).reshape(shape))
            at += size
        self.shapes = shapes
        if len(shapes) > 1:
            listed = ", ".join(f"{printable(n)!r} ({math.prod(s)})" for n, s in shapes.items())
            self._note(f"the inputs are joined to one vector in the order of the file: {listed}")
        first = next(iter(shapes.values()))
        batched = len(first) > 1 and first[0] == 1
        self.input_shape = (sum(sizes),) if len(shapes) > 1 else first[1:] if batched else first

    def _input_shape(self, name: str, dims: list[int | None] | None) -> tuple[int, ...]:
        """The shape for one point: the batch as an axis of 1."""
        if dims is None or (len(dims) == 2 and dims[1] is None):
            return (1, self._first_width(name))
        if not dims:
            raise ShapeError(f"input {printable(name)!r} is a scalar; expected a vector of features")
        first, rest = dims[0], dims[1:]
        if any(n is None for n in rest):
            raise ShapeError(
                f"input {printable(name)!r} has the shape {dims}; only the first size (the batch) may be open. "
                "Export with fixed feature sizes"
            )
        sizes = [int(n) for n in rest if n is not None]
        if first is None:
            if not rest:
                raise ShapeError(f"input {printable(name)!r} has one axis of open size; export it with a fixed one")
            return (1, *sizes)
        column = math.prod(sizes) == 1 and any(
            n.op in ("MatMul", "Gemm") and n.inputs and n.inputs[0] in self.model.tensors for n in self.order
        )
        if not rest or first == 1 or column or self.whole:
            if self.whole and rest and first > 1:
                self._note(f"input {printable(name)!r}: all {first} rows are one point")
            return (first, *sizes)
        self.batch = first
        self._note(f"input {printable(name)!r} has a fixed batch of {first}; each row is one point")
        return (1, *sizes)

    def _first_width(self, name: str) -> int:
        """The width of an input from the first layer that reads it, where the file states none."""
        for node in self.order:
            if name not in node.inputs:
                continue
            for other in node.inputs:
                tensor = self.model.tensors.get(other)
                if tensor is not None and len(tensor.dims) == 2 and node.op in ("MatMul", "Gemm"):
                    rows = node.op == "Gemm" and node.attributes.get("transB", 0)
                    return max(1, int(tensor.dims[1 if rows else 0]))
        raise ShapeError(f"input {printable(name)!r} has no declared shape; export the model with one")

    # ---- the network ------------------------------------------------------------------------
    def network(self, source: dict[str, Any]) -> ReLUNetwork | PiecewiseLinearNetwork:
        """Run all nodes and assemble what the outputs are."""
        for node in self.order:
            self._run(node)
        things = [(name, self._thing(name)) for name in self.model.outputs]
        if not any(isinstance(thing, Signal | Beyond) for _, thing in things):
            raise UnsupportedLayerError(
                f"no output of {', '.join(repr(printable(n)) for n, _ in things[:6])} depends on the input; expected a network"
            )
        found: list[tuple[str, Signal, str | None]] = []
        for name, thing in things:
            if isinstance(thing, Beyond):
                found.append((name, self._before_head(name, thing), thing.head if thing.groups == 1 else None))
            else:
                found.append((name, thing if isinstance(thing, Signal) else self._fixed(name, thing), None))
        # logits and what heads make of them are one part; the same values as two plain outputs are two
        parts: dict[tuple[bytes, int], tuple[str, Signal, list[str]]] = {}
        plain: Counter[bytes] = Counter()
        shared: dict[str, list[str]] = {}
        for (name, signal, head), (_, thing) in zip(found, things):
            values = signal.slots.tobytes()
            again = 0 if isinstance(thing, Beyond) else plain[values]
            plain[values] += not isinstance(thing, Beyond)
            held = parts.setdefault((values, again), (name, signal, []))
            shared.setdefault(held[0], []).append(name)
            if head is not None:
                held[2].append(head)
        heads = [self._one_head(*p) for p in parts.values()]
        for names in shared.values():
            if len(names) > 1:
                self._note(f"outputs {', '.join(repr(printable(n)) for n in names)} share one network")
        head = heads[0] if len(parts) == 1 else None
        if len(parts) > 1:
            listed = [
                f"{printable(name)!r} ({signal.slots.size}{', before its ' + h if h else ''})"
                for (name, signal, _), h in zip(parts.values(), heads)
            ]
            self._note(f"the outputs are joined to one vector: {', '.join(listed)}")
            source["outputs"] = {name: int(signal.slots.size) for name, signal, _ in parts.values()}
        slots = np.concatenate([signal.slots.ravel() for _, signal, _ in parts.values()])
        if not len(slots):
            raise ShapeError("the output has no values")
        if np.any(slots < 0):
            slots = slots.copy()
            slots[slots < 0] = self.wiring.constant(np.zeros(int(np.sum(slots < 0))), name="padding")
        return assemble(
            self.wiring,
            slots,
            source,
            input_shape=self.input_shape,
            head=head or self.model.head,
            notes=self.notes,
        )

    def _fixed(self, name: str, values: Array) -> Signal:
        """An output that does not depend on the input."""
        if self.batch is not None:
            raise RowsMixed(f"output {printable(name)!r} is constant: it has no rows of a batch of {self.batch}")
        what = f"output {printable(name)!r}"
        self._note(f"{what} does not depend on the input; its numbers ({values.size}) are constants of the network")
        numbers = values.astype(np.float64) if values.dtype.kind == "b" else values
        return Signal(self.wiring.constant(numbers, name=what).reshape(values.shape))

    def _before_head(self, name: str, thing: Beyond) -> Signal:
        """The logits of an output; what behind the head is not part of the network is noted."""
        if thing.groups > 1:
            size = thing.signal.slots.size // thing.groups
            self._note(
                f"output {printable(name)!r} is read before its {thing.head} of {thing.groups} groups of {size} values "
                f"({thing.node.label}); no head of the whole network"
            )
        if thing.dropped:
            what = {"label": "a decision by", "pair": "1 - p and p of"}.get(thing.form, "named after")
            self._note(f"output {printable(name)!r} is {what} the {thing.head}; not read: {', '.join(thing.dropped)}")
        if thing.form != "complement":
            return thing.signal
        self._note(f"output {printable(name)!r} is 1 - sigmoid; the network as read has negated logits")
        slots = thing.signal.slots.ravel()
        made = self.wiring.diagonal(slots, scale=-np.ones(len(slots)), name=printable(name))
        return Signal(made.reshape(thing.signal.shape))

    def _one_head(self, name: str, signal: Signal, heads: list[str]) -> str | None:
        """The head of outputs that share their logits; several different ones are noted, and none is that of the
        network.
        """
        kinds = list(dict.fromkeys(h for h in heads if h != "argmax")) or heads[:1]
        if len(kinds) > 1:
            self._note(f"the outputs end in {' and '.join(kinds)} of the same logits, which are what the network gives")
            return None
        return kinds[0] if kinds else None

    # ---- nodes ------------------------------------------------------------------------------
    def _thing(self, name: str) -> Thing:
        if name in self.things:
            return self.things[name]
        if name in self.model.tensors:
            self.things[name] = tensor_values(self.model.tensors[name])
            return self.things[name]
        raise FileFormatError(f"{printable(name)!r} is used, and nothing in the file computes it")

    def _run(self, node: Node) -> None:
        if any(node.outputs) and all(name in self.things for name in node.outputs if name):
            return  # a branch has asked for it
        args: list[Thing | None] = [self._thing(name) if name else None for name in node.inputs]
        try:
            results = self._results(node, args)
        except PolyfiberError:
            raise
        except Exception as error:
            raise FileFormatError(f"{node.label} is malformed: {printable(str(error))}") from None
        if len(results) < sum(1 for o in node.outputs if o in self.needed):
            raise refuse(node, "has further outputs, which are not supported")
        whole = any(name in self.integers for name in node.inputs) and not self._to_floats(node)
        for name, result in zip(node.outputs, results):
            if name:
                self.things[name] = result
                if whole and isinstance(result, Signal):
                    self.integers.add(name)

    def _to_floats(self, node: Node) -> bool:
        """Whether a node turns integers into floats; UnsupportedLayerError where it does integer arithmetic."""
        if node.op == "Cast":
            return DTYPES.get(node.attributes.get("to", 1), "") in FLOATS
        if node.op not in MOVING and node.op not in _ORDERING:
            raise refuse(
                node,
                "computes with integers, whose quotients are cut off and whose sums wrap around; cast the input to floats first",
            )
        return False

    def _results(self, node: Node, args: list[Any]) -> Sequence[Thing]:
        if node.op in _FLOW and node.domain == "":
            return self._branch(node, args)
        if any(isinstance(a, Beyond) for a in args):
            return [after_head(node, args)] * max(1, len(node.outputs))
        signals = [a for a in args if isinstance(a, Signal)]
        if any(name in self.integers for name in node.inputs):
            self._to_floats(node)
        if self.batch is not None:
            check_rows(node, args, self.batch, self.model.opset)
        if not signals:
            if node.op != "Constant":
                self.schemas.check(node)
            if node.op == "Dropout" and args:
                return [args[0], np.ones(np.shape(args[0]), dtype=bool)][: max(1, len(node.outputs))]
            return self.constants.run(node, args)
        if node.domain == "ai.onnx.ml" and node.op == "Scaler":
            return [scaler(self.wiring, node, args)]
        if node.domain != "":
            raise refuse(node, f"of the domain {printable(node.domain)!r} is not supported. Supported: {SUPPORTED}")
        if node.op in HEADS:
            return [self._head(node, signals[0])]
        if node.op == "Size":
            return [np.array(math.prod(signals[0].shape) * (self.batch or 1), dtype=np.int64)]
        if node.op == "Shape":
            shape = list(signals[0].shape)
            if self.batch is not None:
                shape[0] = self.batch
            return [np.array(shape[node.attributes.get("start", 0) : node.attributes.get("end")], dtype=np.int64)]
        if node.op not in MOVING and node.op not in AFFINE and node.op not in _UNITS:
            raise unknown(node)
        self.schemas.check(node)
        if node.op in MOVING:
            found = [Signal(r) for r in self._moved(node, args)]
            if self.batch is not None and any(s.shape[:1] != (1,) for s in found):
                raise RowsMixed(
                    f"{node.label} joins the {self.batch} rows of the first axis with others", node=node.name
                )
            return found
        if node.op == "Gemm" and not any(isinstance(a, Signal) for a in args[:2]):  # the input is what is added
            product = self.constants.run(node, args[:2])[0]
            return [added(self.wiring, node, product, args[2])]
        if node.op in AFFINE:
            return [AFFINE[node.op](self.wiring, node, args)]
        made = _UNITS[node.op](self, node, args)
        if node.op == "Dropout" and self.model.opset >= 12:
            return [made, np.ones(made.shape, dtype=bool)]
        return [made]

    def _branch(self, node: Node, args: list[Any]) -> Sequence[Thing]:
        """The outputs of the branch that a constant condition takes; the other one is not looked at."""
        decides = args[0] if node.op == "If" and args else None
        if not isinstance(decides, np.ndarray | np.generic) or np.size(decides) != 1:
            what = "by values that depend on the input" if node.op == "If" else "in a loop"
            raise refuse(
                node,
                f"is control flow {what}, which is not supported (an If on a constant is); export by tracing, "
                "or simplify the model so that one path is left",
            )
        which = "then_branch" if bool(np.ravel(decides)[0]) else "else_branch"
        taken = next((a.g for a in node.message.attribute if a.name == which and a.HasField("g")), None)
        if taken is None or len(taken.output) < len(node.outputs):
            raise FileFormatError(f"{node.label} lacks its {which}, or outputs of it")
        if id(node) in self.running:
            raise FileFormatError(f"{node.label} needs its own result: the graph has a cycle")
        self.running.add(id(node))
        self.opened += 1
        messages, tensors, outputs = branch(taken, f"{node.shown}:{self.opened}/")
        if any(n in self.model.tensors or n in self.model.inputs or n in self.makers for n in tensors):
            raise FileFormatError(f"{node.label} has names in its {which} that are there already")
        self.model.tensors |= tensors
        self.needed.update(outputs)
        self._add(self.model.opened(messages))
        for inner in self._order(outputs):
            self._run(inner)
        self.running.discard(id(node))
        self.integers |= {outer for inner, outer in zip(outputs, node.outputs) if inner in self.integers}
        return [self._thing(name) for name in outputs[: len(node.outputs)]]

    def _head(self, node: Node, signal: Signal) -> Beyond:
        """What is behind a head; one that compares some of the outputs at a time is none of the whole network."""
        shape, groups, axis = signal.shape, 1, -1
        if node.op != "Sigmoid" and shape:
            old = node.op != "ArgMax" and self.model.opset < 13  # all axes from this one on are one
            axis = node.attributes.get("axis", 0 if node.op == "ArgMax" else 1 if old else -1)
            if not isinstance(axis, int) or not -len(shape) <= axis < len(shape):
                raise refuse(node, f"works along axis {axis!r} of a tensor of shape {shape}")
            axis %= len(shape)
            reach = math.prod(shape[axis:]) if old else shape[axis]
            if axis == 0 and shape[0] == 1 and len(shape) > 1 and not old:
                raise refuse(node, "works across the batch, not the features; expected a later axis")
            groups = math.prod(shape) // max(1, reach)
        return Beyond(signal, HEADS[node.op], node, "label" if node.op == "ArgMax" else "values", groups, axis)

    def _moved(self, node: Node, args: list[Any]) -> list[Array]:
        slots: list[Any] = [a.slots if isinstance(a, Signal) else a for a in args]
        if node.op == "Concat":
            slots = [a.slots if isinstance(a, Signal) else self._fill(node, a) for a in args if a is not None]
        elif any(isinstance(a, Signal) for a in args[1:]) or not isinstance(args[0], Signal):
            raise refuse(node, "takes indices or shapes that depend on the input; not supported")
        return moved(node, slots, Moved(self._room, lambda x: self._fill(node, x), self._rebatched))

    def _fill(self, node: Node, values: Array) -> IntArray:
        """Slots of constants; -1 where they are 0."""
        flat = np.asarray(values).ravel()
        made = np.full(len(flat), -1, dtype=np.int64)
        which = np.flatnonzero(np.asarray(flat != 0, dtype=bool))
        if len(which):
            made[which] = self.wiring.constant(flat[which], name=node.shown)
        return made.reshape(np.shape(values))

    def _room(self, node: Node, shape: Sequence[int]) -> tuple[int, ...]:
        sizes = tuple(int(n) for n in shape)
        if len(sizes) > 16 or any(n < 0 for n in sizes):
            raise FileFormatError(f"{node.label} gives a tensor of shape {sizes[:16]}")
        self.wiring.expect(math.prod(sizes), node.shown)
        return sizes

    def _rebatched(self, target: list[int]) -> list[int]:
        """A shape that names a fixed batch, for one point."""
        return [1, *target[1:]] if self.batch is not None and target[:1] == [self.batch] else target


_FLOW = frozenset(["If", "Loop", "Scan"])

_ORDERING = frozenset(
    ["Cast", "Clip", "Dropout", "GlobalMaxPool", "Max", "MaxPool", "Min", "ReduceMax", "ReduceMin", "Relu", "Where"]
)
"""Operations on integers that give one of them, or a limit: as exact as on real numbers."""


# ---- units --------------------------------------------------------------------------------------
def _place(node: Node, shape: Sequence[int]) -> Place:
    """Places in the output of a node, batch left out."""
    inner = shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
    return Place.whole(node.shown, node.op, inner)


def _relu(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    signal = args[0]
    return Signal(relu(g.wiring, signal.slots.ravel(), _place(node, signal.shape)).reshape(signal.shape))


def _sloped(g: Graph, node: Node, signal: Signal, below: Any, above: float = 1.0) -> Signal:
    slots = signal.slots.ravel()
    lower = np.broadcast_to(np.asarray(below), (len(slots),))
    pairs = np.stack([lower, np.full(len(slots), above, dtype=lower.dtype)], axis=1)
    return Signal(sloped(g.wiring, slots, pairs, _place(node, signal.shape)).reshape(signal.shape))


def _leaky(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    return _sloped(g, node, args[0], number(node, "alpha", float(np.float32(0.01))))


def _prelu(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    signal, slope = args[0], weights(node, args[1], "a slope")
    if not isinstance(signal, Signal):
        raise refuse(node, "has a slope that depends on the input: not piecewise linear")
    values = g.wiring.numbers(slope, f"{node.shown}: slope")
    return _sloped(g, node, signal, spread(node, values, signal.shape))


def _abs(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    return _sloped(g, node, args[0], -1.0)


def _clip(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    def limit(key: str, at: int, default: float) -> float:
        value = node.attributes.get(key)
        if value is None and len(args) > at and args[at] is not None:
            value = const(node, args[at], "a limit").reshape(()).item()
        value = default if value is None else float(value)
        if math.isnan(value):
            raise InputError(f"{node.label} clips at nan")
        return value if abs(value) < float(np.finfo(np.float32).max) else math.copysign(math.inf, value)

    low, high = limit("min", 1, -math.inf), limit("max", 2, math.inf)
    if low == math.inf or high == -math.inf:
        raise InputError(f"{node.label} clips to [{low}, {high}]")
    signal = args[0]
    return Signal(clip(g.wiring, signal.slots.ravel(), low, high, _place(node, signal.shape)).reshape(signal.shape))


def _thresholded(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    threshold = number(node, "alpha", 1.0)
    if threshold:
        raise refuse(node, f"jumps at {threshold}: not continuous. With alpha = 0 it is a Relu, which is read")
    return _relu(g, node, args)


def _reduce_l1(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    return reduce_sum(g.wiring, node, [_abs(g, node, args), *args[1:]])


def _shrink(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    width, bias = number(node, "lambd", 0.5), number(node, "bias", 0.0)
    if width != bias or width < 0:
        raise refuse(node, f"jumps at {width}: not continuous. With bias = lambd it is continuous, and is read")
    signal, w = args[0], g.wiring
    slots = materialised(w, node, signal.slots.ravel())
    inner = clip(w, slots, -width, width, _place(node, signal.shape))
    return Signal(w.total([(slots, 1), (inner, -1)], name=node.shown).reshape(signal.shape))


def _hard_sigmoid(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    alpha, beta = number(node, "alpha", float(np.float32(0.2))), number(node, "beta", 0.5)
    signal, w = args[0], g.wiring
    n = signal.slots.size
    z = w.diagonal(signal.slots.ravel(), scale=np.full(n, alpha), shift=np.full(n, beta), name=node.shown)
    return Signal(clip(w, materialised(w, node, z), 0.0, 1.0, _place(node, signal.shape)).reshape(signal.shape))


def _extreme(g: Graph, node: Node, args: Sequence[Any], *, largest: bool) -> Signal:
    """Of signals by a tree, then with the largest (smallest) of the constants."""
    given = [a for a in args if a is not None]
    shape = np.broadcast_shapes(*(a.shape for a in given))
    place = _place(node, shape)
    signals = [np.broadcast_to(a.slots, shape).ravel() for a in given if isinstance(a, Signal)]
    g.wiring.expect(len(signals) * math.prod(shape), node.shown)
    slots = extremum(g.wiring, signals, place, largest=largest)
    fixed = [const(node, a) for a in given if not isinstance(a, Signal)]
    if any(name in g.integers for name in node.inputs):
        fixed = [a.astype(np.float64) for a in fixed]
    constants = [spread(node, a, shape) for a in fixed]
    if constants:
        stack = np.stack([c.astype(object) for c in constants]) if len(constants) > 1 else constants[0][None]
        values = g.wiring.numbers(stack.max(axis=0) if largest else stack.min(axis=0), node.shown)
        slots = limited(g.wiring, slots, values, place, largest=largest)
    return Signal(slots.reshape(shape))


def _pooled(g: Graph, node: Node, patches: IntArray, axes: int, shape: Sequence[int]) -> Signal:
    """Maxima over the last axes: along the last one first, so that windows below each other share them."""
    g.wiring.expect(4 * patches.size, node.shown)
    full = _place(node, shape)
    for _ in range(axes):
        rows = patches.reshape(-1, patches.shape[-1])
        # places of the output, each as often as there are partial maxima for it
        at = full.at(np.repeat(np.arange(math.prod(shape)), len(rows) // max(1, math.prod(shape))))
        patches = extremum(g.wiring, list(rows.T), at).reshape(patches.shape[:-1])
    return Signal(patches.reshape(tuple(shape)))


def _max_pool(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    signal = args[0]
    kernel = tuple(int(k) for k in node.attributes.get("kernel_shape", ()))
    shape = windows(node, signal.shape, kernel)
    full = (*signal.shape[:2], *shape.sizes)
    g.wiring.expect(4 * math.prod(full) * math.prod(kernel), node.shown)  # comparisons cost more than entries
    patches = shape.of(signal.slots, -2)
    if np.any(np.all(patches == -2, axis=tuple(range(-len(kernel), 0)))):
        raise refuse(node, "has windows that hold nothing but padding")
    return _pooled(g, node, patches, len(kernel), full)


def _global_max(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    shape = args[0].shape
    rows = args[0].slots.reshape(*shape[:2], -1)
    return _pooled(g, node, rows, 1, (*shape[:2], *[1] * (len(shape) - 2)))


def _reduce_extreme(g: Graph, node: Node, args: Sequence[Any], *, largest: bool) -> Signal:
    rows, shape = grouped(node, args[0], args)
    g.wiring.expect(4 * rows.size, node.shown)
    return Signal(extremum(g.wiring, list(rows.T), _place(node, shape), largest=largest).reshape(shape))


def _where(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    condition = const(node, args[0], "a condition").astype(bool)
    shape = np.broadcast_shapes(condition.shape, *(a.shape for a in args[1:]))
    g.wiring.expect(math.prod(shape), node.shown)
    a, b = (a.slots if isinstance(a, Signal) else g._fill(node, a) for a in args[1:])
    return Signal(np.where(condition, np.broadcast_to(a, shape), np.broadcast_to(b, shape)))


def _dropout(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    if len(args) > 2 and args[2] is not None and bool(np.any(const(node, args[2]))):
        raise refuse(node, "is in training mode; export the model in evaluation mode")
    return Signal(args[0].slots)


def _cast(g: Graph, node: Node, args: Sequence[Any]) -> Signal:
    target = DTYPES.get(node.attributes.get("to", 1), "")
    if target not in FLOATS and not any(name in g.integers for name in node.inputs):
        raise refuse(
            node,
            f"casts to {target or 'an unknown type'}, which cuts off or jumps: not a linear map. Casts to floats are read",
        )
    if target not in FLOATS and target != g.model.types.get(node.inputs[0], ""):
        raise refuse(node, f"casts integers to {target or 'an unknown type'}, which may wrap around")
    g._note(f"{node.label} to {target} is read as the identity of real numbers")
    return Signal(args[0].slots)


_UNITS: dict[str, Callable[[Graph, Node, Sequence[Any]], Signal]] = {
    "Relu": _relu,
    "LeakyRelu": _leaky,
    "PRelu": _prelu,
    "Abs": _abs,
    "ThresholdedRelu": _thresholded,
    "ReduceL1": _reduce_l1,
    "Shrink": _shrink,
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
    "Max": lambda g, n, a: _extreme(g, n, a, largest=True),
    "Min": lambda g, n, a: _extreme(g, n, a, largest=False),
    "MaxPool": _max_pool,
    "GlobalMaxPool": _global_max,
    "ReduceMax": lambda g, n, a: _reduce_extreme(g, n, a, largest=True),
    "ReduceMin": lambda g, n, a: _reduce_extreme(g, n, a, largest=False),
    "Where": _where,
    "Dropout": _dropout,
    "Cast": _cast,
}
