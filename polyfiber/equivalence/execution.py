"""Copies that run in integers: weights and activations rounded to so many bits, as the graphs of exporters say
(QuantizeLinear, DequantizeLinear).

Such a copy is no ReLU network: its activations are rounded. It is the network on its rounded weights, with biases that
may move by what rounding the activations before them can do, and that is what is kept here (in ``source["folding"]``,
as the reader's own roundings are): a YES about the pair holds for the integers, and for any other way of rounding as
well; a NO exceeds epsilon by more than roundings explain. That no activation leaves the range of its integers is proved
on the domain. What is left out: the rounding of float32 sums, where a runtime takes them, and sums of products that a
processor cuts off at 16 bits, see `write_qdq`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .. import words
from .._typing import FloatArray, ScalePer
from ..bounds.enclosing import enclosing_box
from ..bounds.pairing import Side
from ..bounds.split import BoxSearch
from ..budget import Budget, Monitor
from ..domain import Polyhedron
from ..errors import FileFormatError, InputError, PolyfiberWarning, ShapeError
from ..network.model import ReLUNetwork
from ..network.names import local_path

STEP = 0.5 + 2.0**-12
"""By how many steps a rounded value may be off, float32 arithmetic of one division and one product included."""
SINGLE = 2.0**-23
"""Relative rounding of a parameter that is made in float32."""
ROUNDS = 4
PAIR = 128
"""Two int8 weights whose sum is no larger: with activations up to 255 their products fit into 16 bits together."""


def executed_in_integers(
    net: ReLUNetwork, domain: Polyhedron, *, bits: int = 8, per: ScalePer = "tensor", scales: Sequence[float] | None = None
) -> ReLUNetwork:  # fmt: skip
    """The copy that computes with rounded weights, and activations rounded to unsigned integers.

    Parameters
    ----------
    net : ReLUNetwork
    domain : Box or Polyhedron
        Bounded: where activations must fit.
    bits : int
        From 2 to 16.
    per : {'tensor', 'channel'}
        One scale for a weight matrix, or one for each row.
    scales : sequence of float, optional
        Steps of the inputs and of each hidden layer, such as calibration found; by default the smallest that are proved
        to suffice.

    Raises
    ------
    InputError
        With the scales given an activation may leave its range somewhere on the domain.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.execution import executed_in_integers
    >>> net, box = pf.ReLUNetwork.random((3, 8, 8, 2), rng=0), pf.Box(-1, 1, dimension=3)
    >>> copy = executed_in_integers(net, box)
    >>> len(copy.source["scales"]), pf.are_equivalent(net, copy, box, epsilon=0.2).verdict.value
    (3, 'yes')
    """
    if not 2 <= bits <= 16 or per not in ("tensor", "channel"):
        raise InputError(f"expected 2 to 16 bits, per 'tensor' or 'channel'; found {bits} bits, per {per!r}")
    net = net.rounded()
    lo, hi = enclosing_box(domain)
    most = 2 ** (bits - 1) - 1
    weights, steps, integers = [], [], []
    for W in net.weights:
        top = np.abs(W).max(axis=1) if per == "channel" else np.full(len(W), np.abs(W).max(initial=0.0))
        step = np.where(top > 0, top / most, 1.0).astype(np.float32).astype(np.float64)
        integers.append(np.clip(np.rint(W / step[:, None]), -most, most))
        weights.append(integers[-1] * step[:, None])
        steps.append(step)
    levels = 2**bits - 1
    low, high = min(float(lo.min()), 0.0), max(float(hi.max()), 0.0)
    first = _up((high - low) / levels)
    facts = {**net.source, "copy": f"int{bits} per {per}, run in integers", "bits": bits, "per": per}

    def copy(found: Sequence[float]) -> ReLUNetwork:
        units = [(step * own).astype(np.float32).astype(np.float64) for step, own in zip(steps, found)]
        whole = [np.rint(b / unit) for b, unit in zip(net.biases, units)]
        biases = [b * unit for b, unit in zip(whole, units)]
        moved = [np.full(W.shape[1], STEP * s) for W, s in zip(weights, found)]
        return _with_moves(weights, biases, moved, [np.zeros(len(b)) for b in biases], {
            **facts, "scales": tuple(found), "zero": int(np.clip(np.rint(-low / found[0]), 0, levels)),
            "integers": tuple(zip(integers, steps, whole, units)),
        })  # fmt: skip

    if scales is not None:
        given = [float(np.float32(s)) for s in scales]
        if len(given) != len(weights) or not all(0 < s < np.inf for s in given):
            raise ShapeError(
                f"expected a positive step for the inputs and each of {len(weights) - 1} hidden layers, found {scales!r}"
            )
        if high - low > levels * given[0]:
            raise InputError(
                f"inputs span {high - low:.6g}, and {levels + 1} steps of {given[0]:.6g} do not; take a larger first scale"
            )
        made = copy(given)
        _must_fit(made, lo, hi, [levels * s for s in given])
        return made
    tops = _intervals(net, lo, hi)
    found = [first, *(_up(1.02 * t / levels) for t in tops)]
    for _ in range(ROUNDS):  # smaller steps only shrink what may happen: bounds for larger ones stay bounds
        made = copy(found)
        found = [first, *(min(s, _up(t / levels)) for s, t in zip(found[1:], _tops(made, lo, hi)))]
    return copy(found)


def _up(value: float) -> float:
    """A float32 above a number, and above zero."""
    near = np.float32(max(value, 2.0**-100))
    return float(near if near >= value else np.nextafter(near, np.float32(np.inf)))


def _with_moves(
    weights: Sequence[FloatArray], biases: Sequence[FloatArray], before: Sequence[FloatArray], after: Sequence[FloatArray], facts: dict[str, Any]
) -> ReLUNetwork:  # fmt: skip
    """A network whose inputs of layer l may move by ``before[l]``, and values by ``after[l]``; parameters by a rounding
    in float32.
    """
    records = []
    for l, (W, b, moved, more) in enumerate(zip(weights, biases, before, after), start=1):
        shift = (np.abs(W) * (1 + SINGLE)) @ moved * (1 + 1e-9) + more + SINGLE * np.abs(b)
        bound = SINGLE * np.abs(W)
        for array in (shift, bound):
            array.setflags(write=False)
        records.append(
            {
                "layer": l, "operations": ("QuantizeLinear", "DequantizeLinear"), "exact": False, "weight_error": float(bound.max(initial=0.0)),
                "bias_error": float(shift.max(initial=0.0)), "weight_bounds": bound, "bias_bounds": shift,
            }
        )  # fmt: skip
    return ReLUNetwork(weights, biases, source={**facts, "folding": tuple(records)})


def _intervals(net: ReLUNetwork, lo: FloatArray, hi: FloatArray) -> list[float]:
    """Above the activations of each hidden layer, roughly; where to begin."""
    tops, low, high = [], lo, hi
    for W, b in zip(net.weights[:-1], net.biases[:-1]):
        up, down = np.maximum(W, 0), np.minimum(W, 0)
        low, high = up @ low + down @ high + b, up @ high + down @ low + b
        tops.append(1.5 * float(high.max(initial=0.0)))
        low, high = np.maximum(low, 0.0), np.maximum(high, 0.0) * 1.1
    return tops


def _tops(net: ReLUNetwork, lo: FloatArray, hi: FloatArray) -> list[float]:
    """Above the activations of each hidden layer on a box, whatever the roundings do."""
    side = Side.of(net)
    zero = [tuple(np.zeros_like(p) for p in part) for part in (side.weights, side.biases)]
    search = BoxSearch(
        (side, Side(zero[0], zero[1], zero[0], zero[1])), [[({0: 1.0}, 0.0, -1e300)]], lo, hi, alone=True
    )
    search.run(Monitor(Budget(seconds=0.0)), attack=False)
    tops, at = [], 0
    for b in net.biases[:-1]:
        tops.append(float(search.state.box[1, at : at + len(b)].max(initial=0.0)))
        at += len(b)
    return tops


def _must_fit(net: ReLUNetwork, lo: FloatArray, hi: FloatArray, tops: Sequence[float]) -> None:
    for layer, (top, found) in enumerate(zip(tops[1:], _tops(net, lo, hi)), start=1):
        if not found <= top:
            raise InputError(
                f"activations of layer {layer} may reach {found:.6g} on the domain, and its integers end at {top:.6g}: larger values would be cut "
                "off, which is not modelled; take a larger scale or a smaller domain"
            )


# ---- files ---------------------------------------------------------------------------------------
def write_qdq(net: ReLUNetwork, path: str | Path, *, weights: Literal["uint8", "int8"] = "uint8") -> None:
    """Write a copy of `executed_in_integers` as an ONNX graph of QuantizeLinear and DequantizeLinear.

    Parameters
    ----------
    net : ReLUNetwork
    path : path
    weights : {'uint8', 'int8'}
        The same integers around 128 or around zero. 'int8' is faster and needs a processor or a session that adds
        products in 32 bits: x86 with VNNI, Arm, or ``session.x64quantprecision`` = "1" in the options of the session.
        On x86 without VNNI a default session of onnxruntime cuts sums of two products off at 16 bits, whatever the
        activations are, and its outputs leave the bound that is proved.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.execution import executed_in_integers, read_qdq, write_qdq
    >>> box = pf.Box(-1, 1, dimension=3)
    >>> copy = executed_in_integers(pf.ReLUNetwork.random((3, 8, 2), rng=0), box)
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "copy.onnx"
    >>> write_qdq(copy, file)
    >>> read_qdq(file, box).architecture
    (3, 8, 2)
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    scales = net.source.get("scales")
    if weights not in ("uint8", "int8"):
        raise InputError(f"weights are written as 'uint8' or 'int8', found {weights!r}")
    middle, kind_of_weights = (128, np.uint8) if weights == "uint8" else (0, np.int8)
    if scales is None or net.source.get("bits") != 8:
        raise InputError("expected a copy of executed_in_integers with 8 bits: scales are written")
    nodes, constants = [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    value = "x"
    for l, (W, step, b, unit) in enumerate(net.source["integers"]):
        if np.abs(b).max(initial=0.0) >= 2**31:
            raise InputError(f"a bias of layer {l + 1} is {np.abs(b).max():.6g} units; int32 does not hold it")
        constant(f"s{l}", np.float32(scales[l]))
        constant(f"z{l}", np.uint8(net.source["zero"] if l == 0 else 0))
        nodes += [
            helper.make_node("QuantizeLinear", [value, f"s{l}", f"z{l}"], [f"q{l}"]),
            helper.make_node("DequantizeLinear", [f"q{l}", f"s{l}", f"z{l}"], [f"d{l}"]),
        ]
        parts = (("w", W, step, kind_of_weights, middle), ("b", b, unit, np.int32, 0))
        for kind, whole, own, dtype, zero in parts:
            constant(f"{kind}{l}", (whole + zero).astype(dtype))
            constant(f"{kind}s{l}", own.astype(np.float32))
            constant(f"{kind}z{l}", np.full(len(own), zero, dtype=dtype))
        nodes += [
            helper.make_node("DequantizeLinear", [f"w{l}", f"ws{l}", f"wz{l}"], [f"wd{l}"], axis=0),
            helper.make_node("DequantizeLinear", [f"b{l}", f"bs{l}", f"bz{l}"], [f"bd{l}"], axis=0),
            helper.make_node("Gemm", [f"d{l}", f"wd{l}", f"bd{l}"], [f"a{l}"], transB=1),
        ]
        value = f"a{l}"
        if l < len(net.weights) - 1:
            nodes.append(helper.make_node("Relu", [value], [f"y{l}"]))
            value = f"y{l}"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, n])
        for name, n in (("x", net.architecture[0]), (value, net.architecture[-1]))
    ]
    graph = helper.make_graph(nodes, "copy", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    local_path(path, "a network").write_bytes(model.SerializeToString())


def read_qdq(path: str | Path, domain: Polyhedron) -> ReLUNetwork:
    """Read the chain of Gemm or MatMul, Add and Relu that an exporter wrote with QuantizeLinear and DequantizeLinear
    between.

    Parameters
    ----------
    path : path
    domain : Box or Polyhedron
        Bounded: where no value may leave the range of its integers.

    Raises
    ------
    FileFormatError
        No such graph.
    InputError
        A value may leave the range of its integers somewhere on the domain.

    Notes
    -----
    Values before a Relu may be rounded too, as some exporters do; outputs not. Constants are taken as integers times
    scale, exactly. A warning says where products of int8 weights may be cut off at 16 bits, see `write_qdq`.
    """
    import onnx

    file = local_path(path, "a network")
    try:
        graph = onnx.load_model_from_string(file.read_bytes()).graph
    except Exception as error:  # the parser of protocol buffers raises its own
        raise FileFormatError(f"{file} is no ONNX file: {type(error).__name__}") from None
    weights, biases, rounded, tops, wide = _walked(graph, str(file))
    if wide:
        warnings.warn(
            f"{file}: int8 weights of layers {', '.join(map(str, wide))} are large enough that default sessions of onnxruntime on x86 without "
            'VNNI cut sums of products off at 16 bits, beyond what is proved; run it with session.x64quantprecision = "1"',
            PolyfiberWarning,
            stacklevel=2,
        )
    before = [np.zeros(W.shape[1]) for W in weights]
    after = [np.zeros(len(b)) for b in biases]
    for layer, behind, step in rounded:
        if behind:
            after[layer] = after[layer] + STEP * step
        else:
            before[layer] = before[layer] + STEP * step
    net = _with_moves(weights, biases, before, after, {"format": "onnx", "copy": "run in integers"})
    lo, hi = enclosing_box(domain)
    inside = [t for t in tops if t[0] == 0 and not t[1]]
    for _, _, low, high, step in inside:
        if float(lo.min()) < low - 0.5 * step or float(hi.max()) > high + 0.5 * step:
            raise InputError(
                f"inputs go from {lo.min():.6g} to {hi.max():.6g}; the integers of the file hold {low:.6g} to {high:.6g}"
            )
    limits = [np.inf] * len(weights)
    for layer, behind, _, high, step in tops:
        if layer or behind:
            k = layer if behind else layer - 1
            limits[k] = min(limits[k], high + 0.5 * step)
    if any(np.isfinite(limit) for limit in limits[:-1]):
        _must_fit(net, lo, hi, [np.inf, *limits[:-1]])
    if any(low > 0 for layer, behind, low, _, _ in tops if layer or behind):
        raise InputError(f"{file}: integers that begin above zero cut off values that are zero; this is not modelled")
    if any(behind and layer == len(weights) - 1 for layer, behind, _, _, _ in tops):
        raise InputError(
            f"{file}: the outputs are rounded too, and that they stay in range is not proved; drop the last QuantizeLinear"
        )
    return net


def _walked(graph: Any, name: str) -> tuple[list[FloatArray], list[FloatArray], list[Any], list[Any], list[int]]:
    """Weights, biases, roundings (layer, behind its sum, step), ranges of integers, layers whose int8 weights are wide."""
    from onnx import helper, numpy_helper

    known = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in graph.initializer}
    kinds = {t.name: numpy_helper.to_array(t).dtype for t in graph.initializer}
    users: dict[str, list[Any]] = {}
    signed: dict[str, FloatArray] = {}
    for node in graph.node:
        options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant" and "value" in options:
            known[node.output[0]] = numpy_helper.to_array(options["value"]).astype(np.float64)
            kinds[node.output[0]] = numpy_helper.to_array(options["value"]).dtype
        elif node.op_type == "DequantizeLinear" and node.input[0] in known:
            q, scale = known[node.input[0]], known[node.input[1]]
            zero = known[node.input[2]] if len(node.input) > 2 else np.zeros_like(scale)
            shape = [1] * q.ndim
            if scale.ndim == 1 and scale.size > 1:
                shape[int(options.get("axis", 1))] = scale.size
            if kinds.get(node.input[0]) == np.int8:
                signed[node.output[0]] = q
            known[node.output[0]] = (q - zero.reshape(shape if zero.size > 1 else [1] * q.ndim)) * scale.reshape(
                shape if scale.size > 1 else [1] * q.ndim
            )
        else:
            for value in node.input:
                if value not in known:
                    users.setdefault(value, []).append((node, options))
    inputs = [v.name for v in graph.input if v.name not in known]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise FileFormatError(
            f"{name} has {words.count(len(inputs), 'input')} and {words.count(len(graph.output), 'output')}; expected one each"
        )
    value = inputs[0]
    weights: list[FloatArray] = []
    biases: list[FloatArray] = []
    rounded: list[Any] = []
    tops: list[Any] = []
    wide: list[int] = []
    relus, pending = 0, None
    while value != graph.output[0].name:
        if len(users.get(value, ())) != 1:
            raise FileFormatError(
                f"{name}: the value {value!r} is used {len(users.get(value, ()))} times; expected a chain"
            )
        node, options = users[value][0]
        kind = node.op_type
        if kind == "QuantizeLinear":
            scale = known[node.input[1]]
            zero = known[node.input[2]] if len(node.input) > 2 else np.zeros(1)
            dtype = kinds[node.input[2]] if len(node.input) > 2 else np.dtype(np.uint8)
            if scale.size != 1 or dtype.kind not in "iu" or dtype.itemsize > 2:
                raise FileFormatError(
                    f"{name}: activations are rounded with {scale.size} scales to {dtype}; expected one, to 8 or 16 bits"
                )
            ends, step = np.iinfo(dtype), float(scale.reshape(-1)[0])
            low, high = (float(e - zero.reshape(-1)[0]) * step for e in (ends.min, ends.max))
            behind = len(weights) > relus
            layer = len(weights) - 1 if behind else len(weights)
            rounded.append((layer, behind, step))
            tops.append((layer, behind, low, high, step))
            pending = step
        elif kind == "DequantizeLinear":
            if pending is None or float(known[node.input[1]].reshape(-1)[0]) != pending:
                raise FileFormatError(f"{name}: a DequantizeLinear does not undo the QuantizeLinear before it")
            pending = None
        elif (
            kind == "Gemm"
            and options.get("alpha", 1.0) == 1.0
            and options.get("beta", 1.0) == 1.0
            and not options.get("transA")
        ):
            W = known[node.input[1]]
            weights.append(W if options.get("transB") else W.T)
            biases.append(known[node.input[2]].reshape(-1) if len(node.input) > 2 else np.zeros(len(weights[-1])))
        elif kind == "MatMul" and node.input[1] in known:
            weights.append(known[node.input[1]].T)
            biases.append(np.zeros(len(weights[-1])))
        elif kind == "Add" and len(weights) > relus:
            other = next(v for v in node.input if v != value)
            biases[-1] = biases[-1] + known[other].reshape(-1)
        elif kind == "Relu" and len(weights) == relus + 1:
            relus += 1
        elif kind not in ("Flatten", "Reshape", "Identity", "Cast"):
            raise FileFormatError(f"{name}: {kind} is not expected here; a chain of Gemm or MatMul, Add, Relu is read")
        if kind in ("Gemm", "MatMul") and node.input[1] in signed:
            q = signed[node.input[1]]
            if _wide(q if options.get("transB") else q.T):
                wide.append(len(weights))
        value = node.output[0]
    if len(weights) != relus + 1 or any(W.shape[1] != len(b) for W, b in zip(weights[1:], biases)):
        raise FileFormatError(f"{name}: {len(weights)} matrices and {relus} Relu do not make a chain")
    known_roundings = [(layer, behind, step) for layer, behind, step in rounded if layer < len(weights)]
    return weights, biases, known_roundings, tops, wide


def _wide(integers: FloatArray) -> bool:
    """Whether two weights of a row may bring products beyond 16 bits."""
    ends = np.sort(integers, axis=1)
    low, high = np.minimum(ends[:, :2], 0.0).sum(axis=1), np.maximum(ends[:, -2:], 0.0).sum(axis=1)
    return bool(max(high.max(initial=0.0), -low.min(initial=0.0)) > PAIR)


__all__ = ["executed_in_integers", "read_qdq", "write_qdq"]
