"""Train a small signed-distance network of a torus, and compare its exact surface with marching cubes.

    python scripts/signed_distance.py [--train] [--grids 16,32,64,128]

The network is ``data/torus_distance.onnx`` (``--train`` makes it anew with scikit-learn). Its zero set is extracted exactly by
`PolyhedralComplex.level_set`, and by marching cubes (scikit-image, when it is installed) on grids of growing size. Printed for
each: polygons, CPU seconds, Betti numbers where they are known, and the largest ``|f|`` on the surface divided by the Lipschitz
constant, which no point of the true surface is nearer than.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import polyfiber as pf  # noqa: E402

FILE = ROOT / "data" / "torus_distance.onnx"
BOX = pf.Box([-1.6, -1.6, -0.8], [1.6, 1.6, 0.8])


def distance(x: np.ndarray) -> np.ndarray:
    """Signed distance to the torus of radii 1 and 0.4."""
    ring = np.hypot(x[:, 0], x[:, 1]) - 1.0
    result: np.ndarray = np.hypot(ring, x[:, 2]) - 0.4
    return result


def train() -> pf.ReLUNetwork:
    """A 3-24-24-1 network fitted to the distance."""
    from sklearn.neural_network import MLPRegressor

    rng = np.random.default_rng(0)
    x = rng.uniform(BOX.lo, BOX.hi, (20000, 3))
    model = MLPRegressor(
        hidden_layer_sizes=(24, 24),
        solver="adam",
        max_iter=150,
        random_state=0,
        batch_size=256,
        learning_rate_init=3e-3,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, distance(x))
    return pf.from_sklearn(model)


def draw(mesh: object, path: Path) -> None:
    """The polygons of the surface, shaded by their normals."""
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    ax = figure.add_subplot(projection="3d")
    light = np.array([0.4, -0.5, 0.8]) / np.linalg.norm([0.4, -0.5, 0.8])
    shade = 0.55 + 0.45 * np.clip(mesh.normals @ light, -1, 1)  # type: ignore[attr-defined]
    colours = np.clip(np.array([0.62, 0.79, 0.88]) * shade[:, None], 0, 1)
    shapes = [mesh.points[mesh.polygon(i)] for i in range(mesh.n_polygons)]  # type: ignore[attr-defined]
    ax.add_collection3d(Poly3DCollection(shapes, facecolors=colours, edgecolors="#00248f", linewidths=0.3))
    ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), zlim=(-0.8, 0.8), xlabel="x", ylabel="y", zlabel="z")
    ax.set_box_aspect((2, 2, 1))
    ax.set_title(f"{mesh.n_polygons} exact polygons of a signed-distance network")  # type: ignore[attr-defined]
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--grids", default="16,32,64,128")
    parser.add_argument("--plot", type=Path, help="draw the surface to an image")
    options = parser.parse_args()
    if options.train:
        train().save(FILE)
    net = pf.read_network(FILE)
    pf.canonical_complex(net, BOX).level_set().mesh()  # compile
    start = time.process_time()
    cx = pf.canonical_complex(net, BOX)
    surface = cx.level_set()
    mesh = surface.mesh()
    seconds = time.process_time() - start
    if options.plot:
        draw(mesh, options.plot)
    lipschitz = cx.lipschitz().value
    on_surface = np.abs(net(mesh.points)).max() / lipschitz
    print("method\tpolygons\tCPU seconds\tBetti numbers\tlargest |f| / Lipschitz constant")
    print(f"exact\t{mesh.n_polygons}\t{seconds:.2f}\t{surface.betti_numbers()}\t{on_surface:.1e}")
    try:
        from skimage.measure import marching_cubes
    except ImportError:
        print("scikit-image is not installed: no marching cubes")
        return
    for size in map(int, options.grids.split(",")):
        start = time.process_time()
        axes = [np.linspace(lo, hi, size) for lo, hi in zip(BOX.lo, BOX.hi)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        spacing = tuple(float(a[1] - a[0]) for a in axes)
        points, faces, _, _ = marching_cubes(net(grid)[..., 0], 0.0, spacing=spacing)
        seconds = time.process_time() - start
        error = np.abs(net(points + BOX.lo)).max() / lipschitz
        print(f"marching cubes {size}^3\t{len(faces)}\t{seconds:.2f}\t\t{error:.1e}")


if __name__ == "__main__":
    main()
