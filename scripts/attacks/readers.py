"""Attack on the readers: damaged copies of real files must be refused with one error of ours, or read with the values that
the format's own library gives.

    python scripts/attacks/readers.py [--count 500] [--seconds 0] [--seed 0] [FILE ...]

Every copy is read in a process of its own with 4 GB of memory and 20 s of processor time. Without files: all of ``data``
and one file of each format that is written here. Where a copy is read, the values are compared with those of onnxruntime,
h5py, safetensors or numpy, which share no code with the reader. Prints one line a file and exits 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import io
import json
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

import polyfiber as pf
from polyfiber.errors import PolyfiberError

ROOT = Path(__file__).resolve().parents[2]
MEMORY, SECONDS = 4 << 30, 20
SUFFIXES = (".onnx", ".npz", ".safetensors", ".pt", ".h5", ".keras", ".nnet")


# ---- damage -------------------------------------------------------------------------------------
def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, cut, doubled, moved; half of the changes fall on the first kilobytes, where headers are."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        reach = min(len(out), int(rng.choice([256, 4096, 1 << 30])))
        at = int(rng.integers(0, max(1, reach)))
        size = int(rng.choice([1, 2, 4, 8, 64, 512]))
        kind = int(rng.integers(8))
        if not out:
            break
        if kind == 0:
            out[at % len(out)] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            out[at : at + size] = rng.bytes(size)
        elif kind == 2:
            del out[at : at + size]
        elif kind == 3:
            out[at:at] = out[at : at + size]
        elif kind == 4:
            other = int(rng.integers(0, len(out)))
            out[at : at + size] = out[other : other + size]
        elif kind == 5:
            out[at : at + size] = bytes([int(rng.choice([0, 255, 127, 128]))]) * size
        elif kind == 6:
            del out[max(1, at) :]
        else:
            value = int(rng.choice([0, 1, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 10**9]))
            out[at : at + 8] = (value & (2**64 - 1)).to_bytes(8, "little")
    return bytes(out)


def damaged_text(data: bytes, rng: np.random.Generator) -> bytes:
    """One number or word of a text replaced."""
    places = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:e-?\d+)?|\"\w+\"", data))
    if not places:
        return damage(data, rng)
    place = places[int(rng.integers(len(places)))]
    words = [b"0", b"-1", b"1e999", b"nan", b"999999999999", b"3", b"1.5", b'"x"', b"", b"null", b"[]", b"1,2"]
    return data[: place.start()] + words[int(rng.integers(len(words)))] + data[place.end() :]


def damaged_zip(data: bytes, rng: np.random.Generator) -> bytes:
    """One entry of an archive damaged, so that the checksums are right again."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [(i.filename, archive.read(i)) for i in archive.infolist()]
    except Exception:
        return damage(data, rng)
    k = int(rng.integers(len(entries)))
    name, body = entries[k]
    if rng.random() < 0.15:
        entries[k] = (name, entries[int(rng.integers(len(entries)))][1])
    elif rng.random() < 0.1:
        entries.pop(k)
    else:
        entries[k] = (name, damaged_text(body, rng) if name.endswith(".json") else damage(body, rng))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in entries:
            archive.writestr(name, body)
    return out.getvalue()


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
    """'agree', 'differ …', or 'alone' where the runtime does not run the file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64}
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        initial = {i.name for i in session.get_overridable_initializers()}
        inputs = [i for i in session.get_inputs() if i.name not in initial]
        shapes = [[d if isinstance(d, int) and d > 0 else 1 for d in i.shape] for i in inputs]
        if sum(int(np.prod(s)) for s in shapes) != net.architecture[0]:
            return "alone"
        rng = np.random.default_rng(0)
        for scale in (0.3, 1.0, 8.0):
            feeds = {i.name: (rng.standard_normal(s) * scale).astype(kinds[i.type]) for i, s in zip(inputs, shapes)}
            given = np.concatenate([f.ravel() for f in feeds.values()]).astype(np.float64)
            outputs = [np.asarray(o) for o in session.run(None, feeds)]
            head, values = HEADS.get(net.source["head"]), net(given)
            if head is not None:
                outputs = [o for o in outputs if o.dtype.kind == "f" and o.size == values.size]
                values = head(values)
            elif net.source["head"]:
                return "alone"
            expected = np.unique(np.concatenate([o.ravel() for o in outputs]).astype(np.float64))
            found = np.unique(values)
            size = max(1.0, *(np.abs(z).max(initial=0.0) for z in net.preactivations(given)))
            if not np.isfinite(expected).all() or size > 1e30:
                return "alone"
            # joined outputs may be listed twice in the file; compare the sets of values
            far = np.abs(expected[:, None] - found[None, :]).min(axis=1).max(initial=0.0)
            back = np.abs(expected[:, None] - found[None, :]).min(axis=0).max(initial=0.0)
            if max(far, back) > 1e-4 * size:
                return f"differ by {max(far, back):.3g} of {size:.3g}"
    except Exception as error:
        if os.environ.get("SHOW_ALONE"):
            print("   alone:", str(error)[:300].replace("\n", " "), flush=True)
        return "alone"
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


# ---- one copy, in a process of its own ----------------------------------------------------------
def outcome(path: Path, data: bytes, kind: str) -> dict[str, Any]:
    """What becomes of one copy; run in a child."""
    try:
        net = pf.read_network(path)
    except PolyfiberError as error:
        clear = str(error).startswith(path.name) and len(str(error)) < 2000 and str(error).isprintable()
        return {"kind": "refused" if clear else "WRONG: an unclear message"}
    except BaseException as error:
        return {"kind": f"WRONG: {type(error).__name__}: {str(error)[:200]}"}
    took = {"seconds": time.process_time(), "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10}
    result = by_library(data, kind, net)
    return {"kind": f"WRONG: {result}" if result.startswith("differ") else result, **took}


def isolated(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of a child with limits, and what it took."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            answer = work()
        except MemoryError:
            answer = {"kind": "WRONG: out of memory"}
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        raw = pipe.read()
    _, status, usage = os.wait4(child, 0)
    answer = json.loads(raw) if raw else {"kind": f"WRONG: the process ended with {status}"}
    return {"seconds": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss << 10, **answer}


def attack(path: Path, count: int, seed: int, keep: Path, until: float) -> tuple[Counter[str], float, int, int]:
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
        tried += 1
        found[answer["kind"] if not answer["kind"].startswith("WRONG") else "WRONG"] += 1
        longest, most = max(longest, answer["seconds"]), max(most, answer["memory"])
        if answer["kind"].startswith("WRONG"):
            kept = keep / f"wrong_{path.stem}_{i}{kind}"
            kept.write_bytes(copy)
            print(f"  {kept}: {answer['kind']}", flush=True)
    return found, longest, most, tried


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
    parser.add_argument("files", nargs="*", type=Path)
    args = parser.parse_args()
    import onnx  # noqa: F401  (once, before the children are made)
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    keep = Path(tempfile.mkdtemp(prefix="readers_"))
    files = args.files or sorted(p for p in (ROOT / "data").rglob("*") if p.suffix in SUFFIXES) + samples(keep)
    until = time.time() + args.seconds if args.seconds else float("inf")
    pf.read_network(next(iter(files)))
    total: Counter[str] = Counter()
    for k, path in enumerate(files):
        share = time.time() + (until - time.time()) / (len(files) - k)
        found, longest, most, tried = attack(path, args.count, args.seed, keep, share)
        total += found
        words = ", ".join(f"{n} {kind}" for kind, n in found.most_common())
        print(f"{path.name}: {tried} copies: {words}; at most {longest:.2f} s, {most >> 20} MB", flush=True)
    print(f"{sum(total.values())} copies of {len(files)} files: {dict(total)}")
    return 1 if total["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
