"""Attack on the readers: damaged copies of real files must be refused with one error of ours, or read with the values that
the format's own library gives.

    python scripts/attacks/files/readers.py [--count 500] [--seconds 0] [--seed 0] [--headers 0] [FILE ...]

Every copy is read in a process of its own with 4 GB of memory and 20 s of processor time. Without files: all of ``data``
and one file of each format that is written here. Where a copy is read, the values are compared with those of onnxruntime
(where that refuses the file, of the reference evaluator of ONNX), Keras (where it is installed: ``pip install keras jax``),
h5py, safetensors or numpy, which share no code with the reader. Prints one line a file and exits 1 if anything is wrong.
``--headers``: so many headers of ``.npy`` entries instead, beside `numpy.lib.format.read_array`.
``agree``: the same values. ``alone``: the library refuses the file, or cannot be asked (``SHOW_ALONE=1`` says why).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mutants import damage, damaged_text, damaged_zip, isolated

import polyfiber as pf
from polyfiber.errors import PolyfiberError

ROOT = Path(__file__).resolve().parents[3]
SUFFIXES = (".onnx", ".npz", ".safetensors", ".pt", ".h5", ".keras", ".nnet")


# ---- damage -------------------------------------------------------------------------------------
def damaged_model(data: bytes, rng: np.random.Generator) -> bytes:
    """An ONNX model with a node, attribute, tensor or shape changed, so that it still parses."""
    import onnx

    model = onnx.load_model_from_string(data)
    graph = model.graph
    others = ["Relu", "Abs", "MaxPool", "Conv", "Add", "Mul", "Gemm", "MatMul", "Concat", "Neg", "Max", "Reshape", "Flatten",
              "Transpose", "Slice", "Sum", "LeakyRelu", "Clip", "ReduceMean", "Softmax", "Identity", "Squeeze"]  # fmt: skip
    for _ in range(int(rng.integers(1, 4))):
        node = graph.node[int(rng.integers(len(graph.node)))] if len(graph.node) else None
        tensor = graph.initializer[int(rng.integers(len(graph.initializer)))] if len(graph.initializer) else None
        names = [n for x in graph.node for n in (*x.input, *x.output)] + [t.name for t in graph.initializer]
        kind = int(rng.integers(10))
        if kind == 0 and node is not None:
            node.op_type = str(rng.choice(others))
        elif kind == 1 and node is not None and len(node.input):
            node.input[int(rng.integers(len(node.input)))] = str(rng.choice(names))
        elif kind == 2 and node is not None and len(node.attribute):
            a = node.attribute[int(rng.integers(len(node.attribute)))]
            if a.ints:
                a.ints[int(rng.integers(len(a.ints)))] = int(rng.choice([-3, -1, 0, 1, 2, 3, 7, 10**9]))
            elif a.type == 2:
                a.i = int(rng.choice([-2, -1, 0, 1, 2, 3, 10**9]))
            elif a.type == 1:
                a.f = float(rng.choice([0.0, -1.0, 0.5, 1e30, np.nan, np.inf]))
        elif kind == 3 and tensor is not None and len(tensor.dims):
            tensor.dims[int(rng.integers(len(tensor.dims)))] = int(rng.choice([0, -1, 1, 2, 3, 10**6, 2**40]))
        elif kind == 4 and tensor is not None and tensor.raw_data:
            tensor.raw_data = damage(tensor.raw_data, rng)
        elif kind == 5 and tensor is not None:
            tensor.data_type = int(rng.integers(0, 20))
        elif kind == 6 and tensor is not None and len(tensor.dims) > 1:
            dims = list(tensor.dims)
            rng.shuffle(dims)
            del tensor.dims[:]
            tensor.dims.extend(dims)
        elif kind == 7 and node is not None:
            graph.node.remove(node) if rng.random() < 0.5 else graph.node.append(node)
        elif kind == 8:
            order = [graph.node[i] for i in rng.permutation(len(graph.node))]
            copies = [type(n).FromString(n.SerializeToString()) for n in order]
            del graph.node[:]
            graph.node.extend(copies)
        elif len(graph.input):
            dims = graph.input[int(rng.integers(len(graph.input)))].type.tensor_type.shape.dim
            if len(dims):
                d = dims[int(rng.integers(len(dims)))]
                d.dim_value = int(rng.choice([0, 1, 2, 3, 5, 10**6, -1]))
    return bytes(model.SerializeToString())


def mutant(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A damaged copy: of the bytes, or of what they mean."""
    if rng.random() < 0.4:
        return damage(data, rng)
    if kind == ".onnx":
        return damaged_model(data, rng)
    if kind in (".npz", ".pt", ".keras"):
        return damaged_zip(data, rng)
    return damaged_text(data, rng) if rng.random() < 0.7 else damage(data, rng)


# ---- the truth ----------------------------------------------------------------------------------
HEADS: dict[Any, Callable[[Any], Any]] = {
    "sigmoid": lambda z: 0.5 * (1 + np.tanh(z / 2)),
    "softmax": lambda z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(),
    "log-softmax": lambda z: z - z.max() - np.log(np.exp(z - z.max()).sum()),
}


def by_onnxruntime(data: bytes, net: Any) -> str:
    """'agree', 'differ …', or 'alone' where neither the runtime nor the reference of ONNX runs the file."""
    data = _without_maps(data, re.findall(r"output '([^']+)' is a decision", " ".join(net.source["notes"])))
    for session in (_runtime, _reference):
        try:
            return _compared(*session(data), net)
        except Exception as error:
            if os.environ.get("SHOW_ALONE"):
                print("   alone:", str(error)[:300].replace("\n", " "), flush=True)
    return "alone"


KINDS = {"tensor(float)": np.float32, "tensor(double)": np.float64, 1: np.float32, 11: np.float64}
Runs = Callable[[dict[str, Any]], list[Any]]


def _without_maps(data: bytes, decisions: list[str]) -> bytes:
    """The model with the numbers that go into a map of labels as its outputs: neither library gives arrays of maps.

    Without outputs that are decisions, which are noted and not read.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception:
        return data
    maps = [node for node in model.graph.node if node.op_type == "ZipMap" and node.input and node.output]
    named = [output for output in model.graph.output if output.name in decisions]
    if not maps and (not named or len(named) == len(model.graph.output)):
        return data
    for output in named:
        model.graph.output.remove(output)
    for node in maps:
        model.graph.node.remove(node)
        for output in [o for o in model.graph.output if o.name in node.output]:
            model.graph.output.remove(output)
        model.graph.output.append(onnx.helper.make_tensor_value_info(node.input[0], 1, None))
    return bytes(model.SerializeToString())


def _runtime(data: bytes) -> tuple[list[tuple[str, list[int], Any]], Runs]:
    """Names, shapes and types of the inputs, and what runs the model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    initial = {i.name for i in session.get_overridable_initializers()}
    inputs = [i for i in session.get_inputs() if i.name not in initial]
    facts = [(i.name, [d if isinstance(d, int) and d > 0 else 1 for d in i.shape], KINDS[i.type]) for i in inputs]
    return facts, lambda feeds: list(session.run(None, feeds))


def _reference(data: bytes) -> tuple[list[tuple[str, list[int], Any]], Runs]:
    """The same by the reference evaluator, which takes files that the runtime refuses."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    model = onnx.load_model_from_string(data)
    initial = {t.name for t in model.graph.initializer}
    facts = []
    for i in model.graph.input:
        if i.name not in initial:
            tensor = i.type.tensor_type
            facts.append((i.name, [max(1, d.dim_value) for d in tensor.shape.dim], KINDS[tensor.elem_type]))
    session = ReferenceEvaluator(model)
    return facts, lambda feeds: list(session.run(None, feeds))


def _with_heads(values: Any, notes: str) -> Any:
    """Joined outputs, each behind its head; of a sigmoid both numbers where the file has both."""
    parts = re.findall(r"'[^']*' \((\d+)(?:, before its ([\w-]+))?\)", notes.partition("joined to one vector: ")[2])
    sizes = [int(size) for size, _ in parts]
    if sum(sizes) != values.size or any(name and name not in HEADS for _, name in parts):
        raise ValueError("one of several outputs is that before a head that nobody applies here")
    found = [HEADS[name](z) if name else z for z, (_, name) in zip(np.split(values, np.cumsum(sizes)[:-1]), parts)]
    both = "is 1 - p and p of the sigmoid" in notes
    return np.concatenate([*found, *(1 - z for z, (_, name) in zip(found, parts) if both and name == "sigmoid")])


def _compared(inputs: list[tuple[str, list[int], Any]], run: Runs, net: Any) -> str:
    rows = 1  # a file that wants several inputs at once gets one of them several times
    if len(inputs) == 1 and inputs[0][1] and int(np.prod(inputs[0][1][1:])) == net.architecture[0]:
        rows = inputs[0][1][0]
    if sum(int(np.prod(shape)) for _, shape, _ in inputs) != rows * net.architecture[0] or rows > 4096:
        raise ValueError(f"inputs {[shape for _, shape, _ in inputs]} for {net.architecture[0]} numbers")
    rng = np.random.default_rng(0)
    for scale in (0.3, 1.0, 8.0):
        single = {name: rng.standard_normal([1, *shape[1:]] if rows > 1 else shape) for name, shape, _ in inputs}
        single = {name: (single[name] * scale).astype(kind) for name, _, kind in inputs}
        feeds = {name: np.concatenate([single[name]] * rows) if rows > 1 else single[name] for name in single}
        given = np.concatenate([f.ravel() for f in single.values()]).astype(np.float64)
        outputs = [np.asarray(o) for o in run(feeds)]
        outputs = [o[: len(o) // rows] if rows > 1 and o.ndim else o for o in outputs]
        head, values = HEADS.get(net.source["head"]), net(given)
        notes = " ".join(net.source["notes"])
        groups = re.search(r"before its softmax of (\d+) groups of (\d+) values", notes)
        if groups is None and net.source["head"] is None and " before its " in notes:
            values = _with_heads(values, notes)
        if groups is not None:  # dropped and noted, and no head of the whole
            values = np.ravel([HEADS["softmax"](z) for z in values.reshape(int(groups[1]), int(groups[2]))])
            outputs = [o for o in outputs if o.dtype.kind == "f" and o.size == values.size]
        if head is not None:
            values = head(values)
            if net.source["head"] == "sigmoid" and values.size == 1:  # of two classes both are told
                outputs = [o[..., -1:] if o.shape[-1:] == (2,) else o for o in outputs]
            outputs = [o for o in outputs if o.dtype.kind == "f" and o.size == values.size]
        elif net.source["head"]:
            raise ValueError(f"the head {net.source['head']}")
        expected = np.unique(np.concatenate([o.ravel() for o in outputs]).astype(np.float64))
        found = np.unique(values)
        size = max(1.0, *(np.abs(z).max(initial=0.0) for z in net.preactivations(given)))
        if not np.isfinite(expected).all() or size > 1e30:
            raise ValueError("not finite there")
        # joined outputs may be listed twice in the file; compare the sets of values
        far = np.abs(expected[:, None] - found[None, :]).min(axis=1).max(initial=0.0)
        back = np.abs(expected[:, None] - found[None, :]).min(axis=0).max(initial=0.0)
        if max(far, back) > 1e-4 * size:
            return f"differ by {max(far, back):.3g} of {size:.3g}"
    return "agree"


def by_arrays(arrays: list[Any], net: Any) -> str:
    """Whether every matrix and bias of a network that was not folded stands among the arrays of the file."""
    if net.source.get("folding") or not isinstance(net, pf.ReLUNetwork) or net.is_exact:
        return "alone"
    known = {a.astype(np.float64).tobytes() for a in arrays} | {a.T.astype(np.float64).tobytes() for a in arrays}
    for values in (*net.weights, *net.biases):
        if np.any(values) and values.tobytes() not in known:
            return "differ: a matrix that the library does not find"
    return "agree"


def by_library(data: bytes, kind: str, net: Any) -> str:
    """Compare with the library of the format."""
    if kind == ".onnx":
        return by_onnxruntime(data, net)
    try:
        if kind == ".safetensors":
            import safetensors.numpy

            arrays = list(safetensors.numpy.load(data).values())
        elif kind == ".npz":
            with np.load(io.BytesIO(data)) as archive:
                arrays = [archive[n] for n in archive.files]
            arrays = [a for a in arrays if a.dtype.kind in "fiu"]
        elif kind in (".h5", ".keras"):
            import h5py

            if kind == ".keras":
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    data = archive.read("model.weights.h5")
            arrays = []
            with h5py.File(io.BytesIO(data), "r") as file:
                file.visititems(lambda _, x: arrays.append(x[...]) if isinstance(x, h5py.Dataset) else None)
        elif kind == ".pt":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                blobs = [archive.read(n) for n in archive.namelist() if "/data/" in n]
            folded = {record["layer"] for record in net.source["folding"]}
            layers = [pair for l, pair in enumerate(zip(net.weights, net.biases), start=1) if l not in folded]
            single = [np.asarray(v, dtype=np.float32).tobytes() for pair in layers for v in pair]
            return "agree" if all(any(s in b for b in blobs) for s in single) else "alone"
        else:
            return by_nnet(data, net)
    except Exception:
        return "alone"
    return by_arrays([a for a in arrays if a.dtype.kind in "fiu"], net)


def by_nnet(data: bytes, net: Any) -> str:
    """A reader of ten lines, after the description of the format."""
    rows = [
        line.split(",")
        for line in data.decode("latin-1").splitlines()
        if line.strip() and not line.lstrip().startswith("//")
    ]
    rows = [[t.strip() for t in row if t.strip()] for row in rows]
    count, n = int(float(rows[0][0])), int(float(rows[0][1]))
    widths = [int(float(v)) for v in rows[1]]
    means, ranges = ([float(v) for v in rows[i]] for i in (5, 6))
    at, y = 7, (np.full(n, 0.37) - means[:n]) / ranges[:n]
    for l in range(count):
        m = widths[l + 1]
        w = np.array([[float(v) for v in r] for r in rows[at : at + m]])
        b = np.array([float(r[0]) for r in rows[at + m : at + 2 * m]])
        at, y = at + 2 * m, w @ y + b
        y = np.maximum(y, 0) if l < count - 1 else y
    expected = y * ranges[-1] + means[-1]
    size = max(1.0, np.abs(expected).max(), *(np.abs(z).max() for z in net.preactivations(np.full(n, 0.37))))
    return "agree" if np.abs(net(np.full(n, 0.37)) - expected).max() <= 1e-9 * size else "differ from the plain reader"


# ---- Keras, in a process of its own: it starts threads ------------------------------------------
def keras_server(pipe: Any) -> None:
    """Answers (path, inputs) with the outputs of the model, or with why there are none."""
    os.environ["KERAS_BACKEND"] = "numpy"
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    try:
        import keras
    except ImportError:
        pipe.send("no Keras")
        return
    pipe.send("ready")
    while (question := pipe.recv()) is not None:
        path, inputs = question
        try:
            model = keras.models.load_model(path, compile=False)
            shape = [d or 1 for d in model.input_shape[1:]]
            pipe.send([np.asarray(model(np.float32(x).reshape(1, *shape))).ravel().tolist() for x in inputs])
        except BaseException as error:
            pipe.send(f"{type(error).__name__}: {error}"[:300])


class Keras:
    """Values of a model by Keras; None where it is not installed."""

    def __init__(self) -> None:
        self._start()
        self.there = self.pipe.recv() == "ready"

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=keras_server, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def compare(self, path: Path, answer: dict[str, Any]) -> str:
        """'agree', 'differ …' or 'alone'."""
        if not self.there:
            return "alone"
        try:
            self.pipe.send((str(path), answer["inputs"]))
            found = self.pipe.recv() if self.pipe.poll(60) else "no answer"
        except (EOFError, OSError):
            found = "Keras died"
        if found in ("no answer", "Keras died"):
            self.process.kill()
            self._start()
            self.pipe.recv()
        if isinstance(found, str):
            if os.environ.get("SHOW_ALONE"):
                print("   alone:", found, flush=True)
            return "alone"
        for ours, theirs, size in zip(answer["values"], found, answer["sizes"]):
            head = HEADS.get(answer["head"]) or (lambda z: z)
            if not np.isfinite(theirs).all() or size > 1e30:
                continue
            values = head(np.array(ours))
            if values.shape != np.shape(theirs) or np.abs(values - theirs).max(initial=0.0) > 1e-4 * size:
                return f"differ from Keras: {values[:3]} and {theirs[:3]}"
        return "agree"


# ---- one copy, in a process of its own ----------------------------------------------------------
def outcome(path: Path, data: bytes, kind: str) -> dict[str, Any]:
    """What becomes of one copy; run in a child."""
    try:
        net = pf.read_network(path)
    except PolyfiberError as error:
        clear = str(error).startswith((path.name, str(path))) and len(str(error)) < 2000 and str(error).isprintable()
        return {"kind": "refused" if clear else f"WRONG: an unclear message: {error}"[:500]}
    except BaseException as error:
        return {"kind": f"WRONG: {type(error).__name__}: {str(error)[:200]}"}
    took = {"seconds": time.process_time(), "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10}
    with np.errstate(all="ignore"):
        result = by_library(data, kind, net)
        if result == "alone" and kind in (".h5", ".keras"):
            inputs = np.random.default_rng(0).standard_normal((3, net.architecture[0]))
            took |= {
                "inputs": inputs.tolist(),
                "values": [net(x).tolist() for x in inputs],
                "sizes": [
                    max(1.0, *(float(np.abs(z).max(initial=0.0)) for z in net.preactivations(x))) for x in inputs
                ],
                "head": net.source["head"],
            }
    return {"kind": f"WRONG: {result}" if result.startswith("differ") else result, **took}


def attack(
    path: Path, count: int, seed: int, keep: Path, until: float, keras: Keras | None
) -> tuple[Counter[str], float, int, int]:
    """(outcomes, longest time, most memory, copies) of damaged copies of one file."""
    data, kind = path.read_bytes(), path.suffix
    found: Counter[str] = Counter()
    longest, most, tried = 0.0, 0, 0
    for i in range(count):
        if time.time() > until:
            break
        copy = mutant(data, kind, np.random.default_rng([seed, i, len(data)]))
        target = keep / f"copy{kind}"
        target.write_bytes(copy)
        answer = isolated(lambda copy=copy, target=target: outcome(target, copy, kind))  # type: ignore[misc]
        if keras is not None and "inputs" in answer:
            result = keras.compare(target, answer)
            answer["kind"] = f"WRONG: {result}" if result.startswith("differ") else result
        tried += 1
        found[answer["kind"] if not answer["kind"].startswith("WRONG") else "WRONG"] += 1
        longest, most = max(longest, answer["seconds"]), max(most, answer["memory"])
        if answer["kind"].startswith("WRONG"):
            kept = keep / f"wrong_{path.stem}_{i}{kind}"
            kept.write_bytes(copy)
            print(f"  {kept}: {answer['kind']}", flush=True)
    return found, longest, most, tried


def headers(count: int, seed: int) -> int:
    """Headers of arrays changed by characters that they are made of; returns how many are read otherwise than by NumPy."""
    from polyfiber.network.readers.npz import parse_npy

    rng, found = np.random.default_rng(seed), Counter[str]()
    wholes: list[bytes] = []
    texts: list[Any] = [np.array("hello"), np.array(["ab", "c"]), np.array(b"xyz"), np.array(["", ""])]
    numbers = [
        np.arange(6.0).reshape(2, 3),
        np.arange(5, dtype=">i4"),
        np.zeros((0, 3)),
        np.array([True, False]),
        np.float32(3),
    ]
    for array in (*texts, *numbers, np.asfortranarray(np.arange(6.0).reshape(2, 3))):
        out = io.BytesIO()
        np.save(out, array, allow_pickle=False)
        wholes.append(out.getvalue())
    letters = b" ,'(){}:<>|=fiubUS0123456789TrueFals\n\x00\xff\xa0"
    for _ in range(count):
        data = bytearray(wholes[int(rng.integers(len(wholes)))])
        for _ in range(int(rng.integers(1, 4))):
            at = min(len(data) - 1, int(rng.integers(80 if rng.random() < 0.8 else len(data))))
            kind, letter = int(rng.integers(4)), letters[int(rng.integers(len(letters)))]
            if kind == 0:
                data[at] = letter
            elif kind == 1:
                data[at] ^= 1 << int(rng.integers(8))
            elif kind == 2:
                del data[at]
            else:  # of the same length, mostly
                data.insert(at, letter)
                if (blank := data.rfind(b"  ")) > 0:
                    del data[blank]
        ours: Any = None
        theirs: Any = None
        with contextlib.suppress(PolyfiberError):
            ours = parse_npy(bytes(data), "x")
        with contextlib.suppress(Exception):
            theirs = np.lib.format.read_array(io.BytesIO(bytes(data)), allow_pickle=False)
        if ours is None:
            found["refused"] += 1
        else:
            same = theirs is not None and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()
            found["agree" if same else "WRONG"] += 1
    print(f"{count} headers: {dict(found)}")
    return found["WRONG"]


def samples(folder: Path) -> list[Path]:
    """Files of the formats that ``data`` does not hold."""
    net = pf.ReLUNetwork.random((3, 6, 4, 2), rng=0)
    for suffix in (".safetensors", ".nnet"):
        net.save(folder / f"written{suffix}")
    return [folder / "written.safetensors", folder / "written.nnet"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500, help="copies of each file")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long; 0: never")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--headers", type=int, default=0)
    parser.add_argument("files", nargs="*", type=Path)
    args = parser.parse_args()
    if args.headers:
        return int(headers(args.headers, args.seed) > 0)
    import onnx  # noqa: F401  (once, before the children are made)
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    keep = Path(tempfile.mkdtemp(prefix="readers_"))
    files = args.files or sorted(p for p in (ROOT / "data").rglob("*") if p.suffix in SUFFIXES) + samples(keep)
    until = time.time() + args.seconds if args.seconds else float("inf")
    pf.read_network(next(iter(files)))
    total: Counter[str] = Counter()
    keras = Keras() if any(path.suffix in (".h5", ".keras") for path in files) else None
    for k, path in enumerate(files):
        share = time.time() + (until - time.time()) / (len(files) - k)
        found, longest, most, tried = attack(path, args.count, args.seed, keep, share, keras)
        total += found
        words = ", ".join(f"{n} {kind}" for kind, n in found.most_common())
        print(f"{path.name}: {tried} copies: {words}; at most {longest:.2f} s, {most >> 20} MB", flush=True)
    print(f"{sum(total.values())} copies of {len(files)} files: {dict(total)}")
    return 1 if total["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
