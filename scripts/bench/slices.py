"""How long do exact slices of convolutional networks take? ``python scripts/bench/slices.py [--large] [--peer OUT.npz]``

- the shipped CNN on 8 x 8 digits, through three digits of scikit-learn: all regions of the triangle;
- with ``--large``, a CNN on 28 x 28 images with random weights (5632 gates), through three enlarged digits;
- with ``--peer``, a network that SplineCam takes too (Conv, LeakyReLU, AvgPool), beside what ``peers/slices.py`` wrote of it, counts
  compared.

Times are CPU seconds of this process, after one small slice that loads the compiled code.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import polyfiber as pf  # noqa: E402


def cnn_28(rng: np.random.Generator) -> bytes:
    """Conv 8 @ 5 x 5, ReLU, max 2, conv 16 @ 5 x 5, ReLU, max 2, dense 10, without padding, as an ONNX file."""
    from onnx import TensorProto, helper, numpy_helper

    def weights(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)

    tensors = {
        "w1": weights(8, 1, 5, 5), "b1": (0.1 * rng.standard_normal(8)).astype(np.float32),
        "w2": weights(16, 8, 5, 5), "b2": (0.1 * rng.standard_normal(16)).astype(np.float32),
        "w3": weights(10, 256), "b3": (0.1 * rng.standard_normal(10)).astype(np.float32),
    }  # fmt: skip
    node, pool = helper.make_node, {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"]), node("Relu", ["c1"], ["r1"]), node("MaxPool", ["r1"], ["p1"], **pool),
        node("Conv", ["p1", "w2", "b2"], ["c2"]), node("Relu", ["c2"], ["r2"]), node("MaxPool", ["r2"], ["p2"], **pool),
        node("Flatten", ["p2"], ["f"]), node("Gemm", ["f", "w3", "b3"], ["y"], transB=1),
    ]  # fmt: skip
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 1, 28, 28]), ("y", [1, 10]))]
    graph = helper.make_graph(
        nodes, "cnn", ends[:1], ends[1:], [numpy_helper.from_array(v, k) for k, v in tensors.items()]
    )
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    )


def enlarged(digit: np.ndarray) -> np.ndarray:
    """An 8 x 8 digit as 20 x 20 pixels in the middle of 28 x 28."""
    from scipy.ndimage import zoom

    image = np.zeros((28, 28))
    image[4:24, 4:24] = zoom(digit.reshape(8, 8) / 16, 20 / 8, order=1)
    return image.astype(np.float32).astype(np.float64)


def timed(net: Any, *points: np.ndarray) -> dict[str, Any]:
    start = time.process_time()
    s = pf.slice_through(net, *points)
    return {
        "gates": net.n_hidden,
        "f_vector": s.f_vector,
        "euler_characteristic": s.euler_characteristic,
        "seconds": time.process_time() - start,
        "regions_with_a_sign_decided_in_integers": s.stats.exact_share,
        "peak_GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def against_peer(path: Path) -> dict[str, Any]:
    """The network and the square of ``peers/slices.py``, with what that found."""
    from polyfiber.network.readers.graphs.builder import GraphBuilder

    found = np.load(path)
    g = GraphBuilder((1, 8, 8))
    y = g.input
    for layer in ("0", "3"):
        y = g.add("Conv", [y, g.constant(found[f"{layer}.weight"]), g.constant(found[f"{layer}.bias"])], pads=[1] * 4)
        y = g.add("LeakyRelu", [y], alpha=0.125)
        if layer == "0":
            y = g.add("AveragePool", [y], kernel_shape=[2, 2], strides=[2, 2])
    y = g.add("Gemm", [g.add("Flatten", [y]), g.constant(found["6.weight"]), g.constant(found["6.bias"])], transB=1)
    net = g.network([y], {})
    corners = found["domain"].astype(np.float64)
    D = np.stack([corners[1] - corners[0], corners[3] - corners[0]])
    start = time.process_time()
    s = pf.slice_complex(net, corners[0], D, domain=pf.Box(0, 1, dimension=2))
    ours, theirs = time.process_time() - start, float(found["seconds"])
    return {
        "regions": s.n_regions,
        "regions_of_the_peer": int(found["regions"]),
        "seconds": ours,
        "seconds_of_the_peer": theirs,
        "times": theirs / ours,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--peer", type=Path)
    options = parser.parse_args()
    from sklearn.datasets import load_digits

    digits = load_digits().data
    net = pf.read_network(ROOT / "data" / "digits_cnn.onnx")
    pf.slice_through(pf.ReLUNetwork.random((64, 4, 2), rng=0), *digits[:3])
    results: dict[str, Any] = {
        "8 x 8, digits 0, 1, 2": timed(net, *digits[:3]),
        "8 x 8, digits 10, 50, 99": timed(net, *digits[[10, 50, 99]]),
    }
    if options.large:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cnn.onnx"
            path.write_bytes(cnn_28(np.random.default_rng(0)))
            results["28 x 28, digits 0, 1, 2"] = timed(pf.read_network(path), *(enlarged(d) for d in digits[:3]))
    if options.peer is not None:
        results["SplineCam"] = against_peer(options.peer)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
