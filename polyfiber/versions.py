"""What is installed: the first lines of a report of a fault."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import TextIO

from ._version import __version__

NEEDED = (
    "numpy",
    "scipy",
    "numba",
    "llvmlite",
    "networkx",
    "cvxpy",
    "pycddlib-standalone",
    "onnx",
    "h5py",
    "safetensors",
    "typer",
    "rich",
)
EXTRAS = (
    "python-flint", "torch", "matplotlib", "gudhi", "toponetx", "pymanopt", "pyarrow", "dask", "scikit-learn", "fsspec", "zarr",
    "pandas", "xarray",
)  # fmt: skip


def versions() -> dict[str, str | None]:
    """Versions of Python, of polyfiber and of the packages it uses; None where one is not installed. Nothing is
    imported.
    """
    found: dict[str, str | None] = {
        "polyfiber": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for name in (*NEEDED, *EXTRAS):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def show_versions(file: TextIO | None = None) -> None:
    """Print the versions of polyfiber, Python and every package that it uses, to be pasted into a report.

    Parameters
    ----------
    file : text file, optional
        Standard output by default.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.show_versions()  # doctest: +ELLIPSIS
    polyfiber ...
    python ...
    """
    stream = sys.stdout if file is None else file
    for name, version in versions().items():
        print(f"{name:<20}{version or 'not installed'}", file=stream)
