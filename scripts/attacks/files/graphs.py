"""Attack on the reading of graphs: random ONNX graphs of all operators, against onnxruntime.

    python scripts/attacks/files/graphs.py [--count 200] [--seconds 0] [--seed 0] [--points 20]

Truth: onnxruntime with its optimisations off. A graph that it does not load is not counted. Where it runs a graph, the
network as read must give the same values (float32 tolerance, relative to the largest value inside), or an error must say
why not. Prints counts by operator and what was refused; exits 1 if a value is wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import polyfiber as pf
from polyfiber.errors import PolyfiberError


class Maker:
    """A random graph; values are tensors of known shapes, the batch 1 in front."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.opset = int(rng.choice([7, 9, 11, 13, 15, 18, 21]))
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.values: list[tuple[str, tuple[int, ...]]] = []
        self.used: Counter[str] = Counter()
        self.whole: tuple[str, tuple[int, ...]] = ("", ())  # an input of integers
        self.functions: list[Any] = []
        self.head: int | None = None  # a softmax along that axis of the only output

    def tensor(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors.append(
            numpy_helper.from_array(
                np.ascontiguousarray(np.asarray(values, dtype=dtype)).reshape(np.shape(values)), name
            )
        )
        return name

    def weights(self, *shape: int) -> np.ndarray:
        """Real numbers are not generic: integers, quarters, zeros."""
        kind = int(self.rng.integers(3))
        values = self.rng.standard_normal(shape) if kind == 0 else self.rng.integers(-4, 5, shape) / 4
        return np.where(self.rng.random(shape) < 0.3, 0, values) if kind == 2 else values

    def add(self, op: str, inputs: list[str], outputs: int = 1, **attributes: Any) -> list[str]:
        names = [f"v{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"n{len(self.nodes)}", **attributes))
        self.used[op] += 1
        return names

    def pick(self, rank: int | None = None) -> tuple[str, tuple[int, ...]] | None:
        """A value, rather a late one."""
        fit = [v for v in self.values if rank is None or len(v[1]) == rank]
        return fit[max(int(self.rng.integers(len(fit))), int(self.rng.integers(len(fit))))] if fit else None

    def step(self) -> None:
        """One more operation."""
        rng = self.rng
        kind = str(rng.choice(KINDS))
        got = self.pick()
        assert got is not None
        x, shape = got
        size = int(np.prod(shape))
        if kind == "unit":
            op = str(
                rng.choice(["Relu", "Relu", "LeakyRelu", "PRelu", "Abs", "Clip", "HardSigmoid", "Neg", "Identity"])
            )
            if op == "PRelu":
                slope = self.weights(*(shape[1:] if rng.random() < 0.5 else (1,) * len(shape[1:])))
                self.values.append((self.add(op, [x, self.tensor(slope)])[0], shape))
            elif op == "Clip":
                low, high = sorted(rng.integers(-4, 5, 2) / 2)
                which = int(rng.integers(3))
                if self.opset < 11:
                    limits = {k: float(v) for k, v in (("min", low), ("max", high))}
                    if which:
                        limits.pop(["min", "max"][which - 1])
                    self.values.append((self.add(op, [x], **limits)[0], shape))
                else:
                    names = [self.tensor(low) if which != 1 else "", self.tensor(high) if which != 2 else ""]
                    self.values.append((self.add(op, [x, *names])[0], shape))
            elif op == "HardSigmoid":
                self.values.append((self.add(op, [x], alpha=0.25, beta=0.5)[0], shape))
            elif op == "LeakyRelu":
                self.values.append((self.add(op, [x], alpha=float(rng.choice([0.0, 0.01, 0.5, 1.0, -1.0])))[0], shape))
            else:
                self.values.append((self.add(op, [x])[0], shape))
        elif kind == "dense" and len(shape) == 2 and shape[0] == 1:
            m = int(rng.integers(1, 6))
            if rng.random() < 0.2:  # the input is what is added
                left, k = int(rng.integers(1, 4)), int(rng.integers(1, 3))
                factors = [self.tensor(self.weights(k, left)), self.tensor(self.weights(k, shape[1]))]
                beta = float(rng.choice([1.0, 0.25, -2.0]))
                self.values.append(
                    (self.add("Gemm", [*factors, x], transA=1, alpha=0.5, beta=beta)[0], (left, shape[1]))
                )
                if left > 1:
                    self.values.append((self.add("Flatten", [self.values.pop()[0]], axis=0)[0], (1, left * shape[1])))
            elif rng.random() < 0.2 and self.opset >= 21:
                self.values.append((self.add("MatMul", [x, self.quantised(shape[1], m)])[0], (1, m)))
            elif rng.random() < 0.5:
                w = self.weights(m, shape[1])
                b = self.tensor(self.weights(m))
                self.values.append(
                    (self.add("Gemm", [x, self.tensor(w), b], transB=1, alpha=float(rng.choice([1.0, 0.5])))[0], (1, m))
                )
            else:
                self.values.append((self.add("MatMul", [x, self.tensor(self.weights(shape[1], m))])[0], (1, m)))
        elif kind == "matmul" and len(shape) >= 2:
            m = int(rng.integers(1, 4))
            if rng.random() < 0.5:
                self.values.append(
                    (self.add("MatMul", [x, self.tensor(self.weights(shape[-1], m))])[0], (*shape[:-1], m))
                )
            else:
                self.values.append(
                    (self.add("MatMul", [self.tensor(self.weights(m, shape[-2])), x])[0], (*shape[:-2], m, shape[-1]))
                )
        elif kind in ("conv", "deconv", "pool", "norm", "depth", "resize") and len(shape) == 4:
            self.image(kind, x, shape)
        elif kind == "constant":
            op = str(rng.choice(["Add", "Sub", "Mul", "Div", "Max", "Min"]))
            other = self.weights(*[n if rng.random() < 0.7 else 1 for n in shape])
            if op == "Div":
                other = np.where(other == 0, 1, other)
            pair = [x, self.tensor(other)]
            if op != "Div" and rng.random() < 0.4:
                pair.reverse()
            self.values.append((self.add(op, pair)[0], shape))
        elif kind == "join":
            other = self.pick(len(shape))
            assert other is not None
            same = [v for v in self.values if v[1] == shape]
            op = str(rng.choice(["Add", "Sub", "Max", "Min", "Sum", "Mean", "Max", "Concat"]))
            if op == "Concat":
                axis = int(rng.integers(1, len(shape))) if len(shape) > 1 else 0
                if all(a == b for i, (a, b) in enumerate(zip(shape, other[1])) if i != axis):
                    new = tuple(a + b if i == axis else a for i, (a, b) in enumerate(zip(shape, other[1])))
                    self.values.append((self.add(op, [x, other[0]], axis=axis)[0], new))
                return
            chosen = [
                same[int(rng.integers(len(same)))][0]
                for _ in range(2 if op in ("Add", "Sub") else int(rng.integers(2, 5)))
            ]
            self.values.append((self.add(op, chosen)[0], shape))
        elif kind == "reduce" and len(shape) > 1:
            op = str(rng.choice(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"]))
            axis, keep = int(rng.integers(1, len(shape))), int(rng.integers(2))
            as_input = self.opset >= 18 or (op == "ReduceSum" and self.opset >= 13)
            inputs = [x, self.tensor([axis], np.int64)] if as_input else [x]
            attributes = {} if as_input else {"axes": [axis]}
            new = tuple((1 if i == axis else n) for i, n in enumerate(shape) if keep or i != axis)
            self.values.append((self.add(op, inputs, keepdims=keep, **attributes)[0], new))
        elif kind == "more" and self.opset >= 13:
            self.more(x, shape)
        elif kind == "move":
            self.move(x, shape, size)

    def more(self, x: str, shape: tuple[int, ...]) -> None:
        """Operations that few files have."""
        rng, rank = self.rng, len(shape)
        last = shape[-1]
        op = str(
            rng.choice(
                [
                    "ReduceL1",
                    "CumSum",
                    "Trilu",
                    "Einsum",
                    "GatherND",
                    "ThresholdedRelu",
                    "Shrink",
                    "MatMul",
                    "Cast",
                    "Dropout",
                ]
            )
        )
        if op == "ReduceL1" and rank > 1:
            inputs = [x, self.tensor([-1], np.int64)] if self.opset >= 18 else [x]
            attributes = {} if self.opset >= 18 else {"axes": [-1]}
            self.values.append((self.add(op, inputs, keepdims=1, **attributes)[0], (*shape[:-1], 1)))
        elif op == "CumSum":
            axis = self.tensor(int(rng.integers(-1, rank)), np.int64)
            flags = {k: int(rng.integers(2)) for k in ("exclusive", "reverse")}
            self.values.append((self.add(op, [x, axis], **flags)[0], shape))
        elif op == "Trilu" and self.opset >= 14 and rank > 1:
            k = self.tensor(int(rng.integers(-2, 3)), np.int64)
            self.values.append((self.add(op, [x, k], upper=int(rng.integers(2)))[0], shape))
        elif op == "Einsum":
            letters, m = "abcd"[:rank], int(rng.integers(1, 4))
            weight = self.tensor(self.weights(last, m))
            equation = f"{letters},{letters[-1]}z->{letters[:-1]}z"
            self.values.append((self.add(op, [x, weight], equation=equation)[0], (*shape[:-1], m)))
        elif op == "GatherND" and rank > 1:
            places = [[0, int(v)] for v in rng.integers(-shape[1], shape[1], 3)]
            self.values.append((self.add(op, [x, self.tensor(places, np.int64)])[0], (3, *shape[2:])))
            self.values.append(
                (self.add("Unsqueeze", [self.values.pop()[0], self.tensor([0], np.int64)])[0], (1, 3, *shape[2:]))
            )
        elif op == "ThresholdedRelu":
            self.values.append((self.add(op, [x], alpha=float(rng.choice([0.0, 0.0, 0.5])))[0], shape))
        elif op == "Shrink":
            width = float(rng.choice([0.0, 0.25, 1.0]))
            self.values.append((self.add(op, [x], lambd=width, bias=width)[0], shape))
        elif op == "MatMul" and rank > 2:
            m = int(rng.integers(1, 4))
            stack = self.tensor(self.weights(*shape[:-2], last, m))
            self.values.append((self.add(op, [x, stack])[0], (*shape[:-1], m)))
        elif op == "Cast":
            self.values.append((self.add(op, [x], to=int(rng.choice([1, 6, 9, 11])))[0], shape))
            self.values.append((self.add(op, [self.values.pop()[0]], to=1)[0], shape))
        elif op == "Dropout":
            out, mask = self.add(op, [x], 2)
            self.values.append((out, shape))
            self.values.append((self.add("Add", [out, self.add("Cast", [mask], to=1)[0]])[0], shape))

    def quantised(self, rows: int, columns: int) -> str:
        """A matrix of weights of 4 or 8 bits with a scale for each block."""
        rng = self.rng
        block = int(rng.integers(1, 4))
        kind = str(rng.choice(["INT4", "UINT4", "INT8"]))
        axis = int(rng.integers(2))
        scales = [-(-n // block) if k == axis else n for k, n in enumerate((rows, columns))]
        names = []
        for size in ((rows, columns), scales):
            name = f"c{len(self.tensors)}"
            values = rng.integers(0, 8, size).ravel().tolist()
            self.tensors.append(helper.make_tensor(name, getattr(TensorProto, kind), size, values))
            names.append(name)
        scale = self.tensor(rng.integers(1, 9, scales) / 16)
        return self.add("DequantizeLinear", [names[0], scale, names[1]], axis=axis, block_size=block)[0]

    def nested(self) -> None:
        """Some nodes become functions of the file, or a branch of an If on a constant."""
        rng = self.rng
        for _ in range(int(rng.integers(1, 3))):
            start = int(rng.integers(len(self.nodes)))
            part = self.nodes[start : start + int(rng.integers(1, 4))]
            made = [o for n in part for o in n.output if o]
            read = list(dict.fromkeys(i for n in part for i in n.input if i and i not in made))
            if any(n.op_type == "If" or n.domain for n in part):
                continue
            count = len(self.functions)
            if rng.random() < 0.5 and self.opset >= 9:
                inner = {o: f"b{count}_{start}_{o}" for o in made}
                branch = [onnx.NodeProto.FromString(n.SerializeToString()) for n in part]
                for n in branch:
                    n.input[:] = [inner.get(i, i) for i in n.input]
                    n.output[:] = [inner.get(o, o) for o in n.output]
                taken = helper.make_graph(
                    branch, "taken", [], [helper.make_tensor_value_info(inner[o], 1, None) for o in made]
                )
                other = [helper.make_node("Sin", [self.inputs[0][0]], [f"d{count}_{start}_{o}"]) for o in made]
                values = [helper.make_tensor_value_info(n.output[0], 1, None) for n in other]
                dead = helper.make_graph(other, "dead", [], values)
                truth = bool(rng.integers(2))
                sides = {"then_branch": taken if truth else dead, "else_branch": dead if truth else taken}
                node = helper.make_node("If", [self.tensor(np.array(truth), bool)], made, name=f"if{start}", **sides)
                self.used["If"] += 1
            else:
                imports = [helper.make_opsetid("", self.opset)]
                function = helper.make_function("own", f"f{count}", read, made, part, imports)
                self.functions.append(function)
                node = helper.make_node(f"f{count}", read, made, domain="own", name=f"call{start}")
                self.used["function"] += 1
            self.nodes[start : start + len(part)] = [node]

    def integers(self, shape: tuple[int, ...]) -> None:
        """An input of integers: moved and compared, or computed with, then cast."""
        rng, name = self.rng, "i0"
        self.whole = (name, shape)
        for _ in range(int(rng.integers(0, 3))):
            op = str(rng.choice(["Identity", "Max", "Add", "Div", "Mul", "ReduceSum", "Sub", "Flatten"]))
            if op in ("Max", "Add", "Div", "Mul", "Sub"):
                name = self.add(op, [name, self.tensor(3, np.int32)])[0]
            elif op == "ReduceSum" and self.opset >= 13:
                name = self.add(op, [name, self.tensor([-1], np.int64)], keepdims=1)[0]
                shape = (*shape[:-1], 1)
            elif op == "Flatten":
                name, shape = self.add(op, [name])[0], (1, int(np.prod(shape)))
            else:
                name = self.add("Identity", [name])[0]
        self.values.append((self.add("Cast", [name], to=1)[0], shape))

    def move(self, x: str, shape: tuple[int, ...], size: int) -> None:
        rng = self.rng
        op = str(
            rng.choice(
                [
                    "Transpose",
                    "Reshape",
                    "Flatten",
                    "Slice",
                    "Split",
                    "Gather",
                    "Pad",
                    "Squeeze",
                    "Unsqueeze",
                    "Expand",
                    "Where",
                ]
            )
        )
        new = self.opset >= 13
        if op == "Transpose" and len(shape) > 2:
            perm = [0, *(1 + rng.permutation(len(shape) - 1)).tolist()]
            self.values.append((self.add(op, [x], perm=perm)[0], tuple(shape[i] for i in perm)))
        elif op == "Reshape":
            target = [1, size] if rng.random() < 0.5 else [1, *shape[1:][::-1]]
            self.values.append((self.add(op, [x, self.tensor(target, np.int64)])[0], tuple(target)))
        elif op == "Flatten":
            self.values.append((self.add(op, [x], axis=1)[0], (shape[0], size // shape[0])))
        elif op == "Slice" and len(shape) > 1:
            axis = int(rng.integers(1, len(shape)))
            a = int(rng.integers(0, shape[axis]))
            b = int(rng.integers(a + 1, shape[axis] + 1))
            if self.opset < 10:
                out = self.add(op, [x], starts=[a], ends=[b], axes=[axis])[0]
                length = b - a
            else:
                step = int(rng.choice([1, 2, -1]))
                ends = [a, b, step] if step > 0 else [b - 1, a - 1 if a else -(10**6), step]
                out = self.add(op, [x, *(self.tensor([v], np.int64) for v in (ends[0], ends[1], axis, ends[2]))])[0]
                length = len(range(a, b)[::step])
            self.values.append((out, tuple(length if i == axis else n for i, n in enumerate(shape))))
        elif op == "Split" and len(shape) > 1 and shape[-1] > 1:
            a = int(rng.integers(1, shape[-1]))
            parts = [a, shape[-1] - a]
            inputs, attributes = ([x, self.tensor(parts, np.int64)], {}) if new else ([x], {"split": parts})
            for name, n in zip(self.add(op, inputs, 2, axis=len(shape) - 1, **attributes), parts):
                self.values.append((name, (*shape[:-1], n)))
        elif op == "Gather" and len(shape) > 1:
            indices = rng.integers(0, shape[-1], int(rng.integers(1, 4)))
            self.values.append(
                (self.add(op, [x, self.tensor(indices, np.int64)], axis=len(shape) - 1)[0], (*shape[:-1], len(indices)))
            )
        elif op == "Pad" and len(shape) > 1:
            pads = [0] * len(shape) + [0] * (len(shape) - 1) + [int(rng.integers(0, 2))]
            pads[len(shape) - 1] = int(rng.integers(0, 2))
            mode = "constant" if shape[-1] < 2 else str(rng.choice(["constant", "edge", "reflect"]))
            value = float(rng.choice([0.0, 1.5]))
            if self.opset < 11:
                out = self.add(op, [x], pads=pads, mode=mode, value=value)[0]
            else:
                out = self.add(op, [x, self.tensor(pads, np.int64), self.tensor(value)], mode=mode)[0]
            self.values.append((out, (*shape[:-1], shape[-1] + pads[len(shape) - 1] + pads[-1])))
        elif op == "Unsqueeze" and len(shape) < 4:
            inputs, attributes = ([x, self.tensor([1], np.int64)], {}) if new else ([x], {"axes": [1]})
            self.values.append((self.add(op, inputs, **attributes)[0], (shape[0], 1, *shape[1:])))
        elif op == "Squeeze" and len(shape) > 2 and 1 in shape[1:]:
            axis = shape.index(1, 1)
            inputs, attributes = ([x, self.tensor([axis], np.int64)], {}) if new else ([x], {"axes": [axis]})
            self.values.append(
                (self.add(op, inputs, **attributes)[0], tuple(n for i, n in enumerate(shape) if i != axis))
            )
        elif op == "Expand" and self.opset >= 9 and shape[-1] == 1:
            target = [*shape[:-1], 3]
            self.values.append((self.add(op, [x, self.tensor(target, np.int64)])[0], tuple(target)))
        elif op == "Where" and self.opset >= 9:
            other = [v for v in self.values if v[1] == shape]
            mask = self.tensor(rng.random(shape) < 0.5, bool)
            self.values.append((self.add(op, [mask, x, other[int(rng.integers(len(other)))][0]])[0], shape))

    def image(self, kind: str, x: str, shape: tuple[int, ...]) -> None:
        """Operations on channels and pixels."""
        rng = self.rng
        _, c, h, w = shape
        if kind == "norm":
            parts = [self.weights(c), self.weights(c), self.weights(c), np.abs(self.weights(c)) + 0.25]
            self.values.append((self.add("BatchNormalization", [x, *map(self.tensor, parts)], epsilon=1e-3)[0], shape))
            return
        if kind == "depth":
            if c % 4 == 0:
                out = self.add(
                    "DepthToSpace",
                    [x],
                    blocksize=2,
                    **({"mode": str(rng.choice(["DCR", "CRD"]))} if self.opset >= 11 else {}),
                )
                self.values.append((out[0], (1, c // 4, 2 * h, 2 * w)))
            elif h % 2 == 0 and w % 2 == 0:
                self.values.append((self.add("SpaceToDepth", [x], blocksize=2)[0], (1, 4 * c, h // 2, w // 2)))
            return
        if kind == "resize":
            if self.opset >= 11 and h * w <= 16:
                factors = [1.0, 1.0, float(rng.choice([1.0, 2.0, 0.5, 1.5, 0.7, 1.1, 1.3, 1 / 3])), 2.0]
                place = str(rng.choice(["asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"]))
                how = str(rng.choice(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]))
                out = self.add("Resize", [x, self.tensor(np.zeros(0)), self.tensor(factors)], mode="nearest",
                               coordinate_transformation_mode=place, nearest_mode=how)  # fmt: skip
                if int(h * factors[2]):
                    self.values.append((out[0], (1, c, int(h * factors[2]), 2 * w)))
            return
        if kind == "pool" and rng.random() < 0.2:
            self.values.append(
                (self.add(str(rng.choice(["GlobalAveragePool", "GlobalMaxPool"])), [x])[0], (1, c, 1, 1))
            )
            return
        k = [int(rng.integers(1, min(3, n) + 1)) for n in (h, w)]
        strides = rng.integers(1, 3, 2).tolist()
        pads = [int(rng.integers(0, kk)) for kk in (*k, *k)]
        options: dict[str, Any] = {"kernel_shape": k, "strides": strides}
        dilation = [1, 1]
        auto = str(rng.choice(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
        if auto == "NOTSET":
            options["pads"] = pads
        else:
            options["auto_pad"] = auto
        if kind == "deconv":
            m = int(rng.integers(1, 3))
            extra = [int(rng.integers(0, s)) for s in strides]
            options["pads"] = (
                [0, 0, 0, 0] if auto == "NOTSET" and rng.random() < 0.5 else options.get("pads", [0, 0, 0, 0])
            )
            if auto != "NOTSET":
                options.pop("pads")
            out = self.add("ConvTranspose", [x, self.tensor(self.weights(c, m, *k)), self.tensor(self.weights(m))],
                           output_padding=extra if auto == "NOTSET" else [0, 0], **options)  # fmt: skip
            self.finish(out[0])
            return
        if kind == "pool":
            op = str(rng.choice(["MaxPool", "AveragePool"]))
            if self.opset >= 10 and rng.random() < 0.3:
                options["ceil_mode"] = 1
            if op == "AveragePool" and rng.random() < 0.5:
                options["count_include_pad"] = 1
            if op == "MaxPool" and self.opset >= 10 and rng.random() < 0.2:
                options["dilations"] = [2, 1]
            self.finish(self.add(op, [x], **options)[0])
            return
        groups = int(rng.choice([g for g in (1, c) if c % g == 0]))
        m = groups * int(rng.integers(1, 3))
        if rng.random() < 0.2 and auto == "NOTSET":
            dilation = [2, 1]
            options["dilations"] = dilation
        out = self.add(
            "Conv",
            [x, self.tensor(self.weights(m, c // groups, *k)), self.tensor(self.weights(m))],
            group=groups,
            **options,
        )
        self.finish(out[0])

    def finish(self, name: str) -> None:
        """Take the shape from shape inference; a value without one is not used on."""
        try:
            model = onnx.shape_inference.infer_shapes(self.model([name]), strict_mode=True)
        except Exception:
            self.nodes.pop()
            return
        for value in model.graph.value_info:
            if value.name == name:
                shape = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
                if shape and min(shape) > 0:
                    self.values.append((name, shape))
                    return
        for value in model.graph.output:
            shape = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
            if value.name == name and shape and min(shape) > 0:
                self.values.append((name, shape))
                return
        self.nodes.pop()

    def model(self, outputs: list[str]) -> Any:
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in self.inputs]
            + [helper.make_tensor_value_info(n, TensorProto.INT32, s) for n, s in [self.whole] if n],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
            self.tensors,
        )
        imports = [helper.make_opsetid("", self.opset), *([helper.make_opsetid("own", 1)] if self.functions else [])]
        version = 10 if self.opset >= 21 else 8
        return helper.make_model(graph, opset_imports=imports, ir_version=version, functions=self.functions)

    def plain(self) -> None:
        """Operations that change nothing: a graph without weights."""
        for _ in range(int(self.rng.integers(1, 4))):
            x, shape = self.values[-1]
            op = str(self.rng.choice(["Identity", "Max", "Sum", "Clip", "LeakyRelu", "Mean", "Concat"]))
            if op == "Concat":
                self.values.append((self.add(op, [x], axis=len(shape) - 1)[0], shape))
            elif op in ("Max", "Mean", "Sum"):
                self.values.append((self.add(op, [x] * (3 if op == "Max" else 1))[0], shape))
            else:
                options: dict[str, Any] = {"alpha": 1.0} if op == "LeakyRelu" else {}
                self.values.append((self.add(op, [x], **options)[0], shape))

    def draw(self) -> bytes:
        rng = self.rng
        shapes = (
            [(1, int(rng.integers(1, 5)))]
            if rng.random() < 0.4
            else [(1, int(rng.choice([1, 2, 4])), *rng.integers(2, 6, 2).tolist())]
        )
        if rng.random() < 0.15:
            shapes.append(shapes[0])
        self.inputs = [(f"x{i}", tuple(int(n) for n in s)) for i, s in enumerate(shapes)]
        self.values = list(self.inputs)
        if rng.random() < 0.1:
            self.integers(self.inputs[0][1])
        if rng.random() < 0.05:
            self.plain()
        else:
            for _ in range(int(rng.integers(2, 12))):
                self.step()
        fresh = [v for v in self.values if v not in self.inputs] or self.values
        outputs = list(
            dict.fromkeys([fresh[-1][0]] + ([fresh[int(rng.integers(len(fresh)))][0]] if rng.random() < 0.2 else []))
        )
        if outputs[0] in dict(self.inputs):
            outputs = self.add("Neg", [outputs[0]])
        shape = dict(self.values).get(outputs[0], ())
        if len(outputs) == 1 and len(shape) > 1 and min(shape) > 0 and rng.random() < 0.1 and self.opset >= 13:
            axis = int(rng.integers(1, len(shape)))
            self.head = axis
            outputs = self.add("Softmax", outputs, axis=axis)
        elif rng.random() < 0.12:  # outputs that do not depend on the input
            fixed = self.tensor(self.weights(*rng.integers(1, 4, int(rng.integers(1, 3)))))
            kind = int(rng.integers(3))
            more = [fixed] if kind == 0 else self.add("Identity" if kind == 1 else "Neg", [fixed])
            outputs = [*more, *outputs] if rng.random() < 0.5 else [*outputs, *more]
            self.used["constant output"] += 1
        if rng.random() < 0.2 and self.nodes:
            self.nested()
        self.outputs = outputs
        return bytes(self.model(outputs).SerializeToString())


KINDS = ["unit"] * 4 + ["dense"] * 2 + ["matmul", "conv", "conv", "deconv", "pool", "pool", "norm", "depth", "resize", "constant",
         "constant", "join", "join", "join", "reduce", "move", "move", "move", "more", "more"]  # fmt: skip


def compare(data: bytes, path: Path, points: int, rng: np.random.Generator, head: int | None = None) -> str:
    """'agree', 'not run', 'refused: …' or 'WRONG …'."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    feeds = []
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        for _ in range(points):
            scale = float(rng.choice([0.5, 2.0, 8.0]))
            feed = {
                i.name: (np.round(rng.standard_normal(i.shape) * 8) / 8 * scale).astype(
                    np.float32 if i.type == "tensor(float)" else np.int32
                )
                for i in session.get_inputs()
            }
            outputs = [np.asarray(o) for o in session.run(None, feed)]
            shape = outputs[0].shape
            feeds.append((feed, [o.ravel() for o in outputs]))
    except Exception:
        return "not run"
    path.write_bytes(data)
    try:
        net = pf.read_network(path)
    except PolyfiberError as error:
        return f"refused: {str(error).split(': ', 1)[1][:110]}"
    for feed, outputs in feeds:
        notes = " ".join(net.source["notes"])
        kept = [i.name for i in session.get_inputs() if f"input {i.name!r} is left out" not in notes]
        given = np.concatenate([feed[name].ravel() for name in kept]).astype(np.float64)
        if len(given) != net.architecture[0]:  # an input that no output needs is none
            return "not compared: fewer inputs"
        expected = np.concatenate(outputs).astype(np.float64)
        found = net(given)
        if head is not None and found.size == np.prod(shape):
            z = found.reshape(shape)
            e = np.exp(z - z.max(axis=head, keepdims=True))
            found = (e / e.sum(axis=head, keepdims=True)).ravel()
        size = max(1.0, float(np.abs(expected).max()), *(float(np.abs(z).max()) for z in net.preactivations(given)))
        if found.shape != expected.shape or np.abs(found - expected).max() > 3e-5 * size:
            return f"WRONG: {found[:4]} against {expected[:4]}"
    return "agree"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--points", type=int, default=20)
    args = parser.parse_args()
    onnxruntime.set_default_logger_severity(4)
    folder = Path(tempfile.mkdtemp(prefix="graphs_"))
    until = time.time() + args.seconds if args.seconds else float("inf")
    found: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    operators: Counter[str] = Counter()
    for i in range(args.count):
        if time.time() > until:
            break
        rng = np.random.default_rng([args.seed, i])
        maker = Maker(rng)
        data = maker.draw()
        result = compare(data, folder / "graph.onnx", args.points, rng, maker.head)
        found[result.split(":")[0]] += 1
        if result == "agree":
            operators += maker.used
        elif result.startswith("refused"):
            refused[result] += 1
        elif result.startswith("WRONG"):
            kept = folder / f"wrong_{args.seed}_{i}.onnx"
            kept.write_bytes(data)
            print(f"  {kept}: {result}", flush=True)
    print("operators in graphs that agree:", ", ".join(f"{k} {n}" for k, n in operators.most_common()))
    for text, n in refused.most_common(12):
        print(f"  {n} {text}")
    print(f"{sum(found.values())} graphs: {dict(found)}")
    return 1 if found["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
