"""Weights of linear networks from files: one network, or the checkpoints of a training run."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..._typing import FloatArray
from ...errors import FileFormatError, InputError
from ...network.names import local_path
from ...network.readers import read_chain
from ...network.readers.npz import read_arrays
from ...words import listed


def _natural(name: str) -> list[int]:
    """The numbers in a name: W2 comes before W10."""
    return [int(p) for p in re.findall(r"\d+", name)] or [0]


def read_weights(path: str | Path) -> tuple[list[FloatArray], list[str]]:
    """Weight matrices of a file, first layer first, and the names of what was left out.

    Parameters
    ----------
    path : path
        In an ``.npz`` every matrix counts, in the order of the numbers in its name; vectors (biases) are left out and
        named. Other files (``.pt`` and ``.safetensors`` state dicts, ``.onnx``, …) are read as networks, biases
        likewise.

    Raises
    ------
    FileFormatError
        Missing, damaged, or without a matrix.

    Examples
    --------
    >>> import numpy as np, tempfile, os
    >>> from polyfiber.dln import read_weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(os.path.join(folder, "w.npz"), W1=np.eye(2), W2=np.ones((1, 2)), b1=np.zeros(2))
    ...     layers, left_out = read_weights(os.path.join(folder, "w.npz"))
    >>> [W.shape for W in layers], left_out
    ([(2, 2), (1, 2)], ['b1'])
    """
    path = local_path(path, "weights")
    if path.suffix.lower() == ".npz":
        arrays = read_arrays(path)
        matrices = [n for n, a in arrays.items() if a.ndim == 2]
        if not matrices:
            raise FileFormatError(f"{str(path)!r} holds no matrix; expected W1, W2, … (found {listed(sorted(arrays))})")
        if any(re.search(r"\d", n) for n in matrices):
            matrices.sort(key=_natural)
        return [arrays[n] for n in matrices], sorted(set(arrays) - set(matrices))
    net = read_chain(path)
    return [np.asarray(w) for w in net.weights], [f"bias {j}" for j in range(1, len(net.biases) + 1)]


def read_checkpoints(paths: str | Path | Sequence[str | Path]) -> list[list[FloatArray]]:
    """Checkpoints of a linear network, in the order of training, for `training_path`.

    Parameters
    ----------
    paths : path or sequence of paths
        A directory (its files in the order of the number in their names; several numbers have to agree on it; hidden
        files do not count), an ``.npz`` with one stack (T, rows, columns) for each layer, or files with one checkpoint
        each, as `read_weights` reads them, in the order given.

    Returns
    -------
    list of T networks
        Each a list of layers, first layer first.

    Raises
    ------
    FileFormatError
        A file is missing, damaged or without matrices.
    InputError
        Biases that are not zero: the geometry is that of linear networks; stacks of different lengths, or beside arrays
        that are none; files of a directory whose names have no numbers, the same ones, or several that order them
        differently.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from polyfiber.dln import read_checkpoints, training_path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for step, s in enumerate([1.0, 1.5, 2.0]):
    ...         np.savez(pathlib.Path(folder) / f"step{step}.npz", W1=s * np.eye(2), W2=s * np.eye(2))
    ...     path = training_path(read_checkpoints(folder))
    >>> path.products[:, 0, 0].tolist(), round(path.excess, 6)
    ([1.0, 2.25, 4.0], 1.0)
    """
    if isinstance(paths, str | Path):
        path = local_path(paths, "weights")
        if path.is_dir():
            return read_checkpoints(_in_order(path))
        stacks = _stacks(path) if path.suffix.lower() == ".npz" else None
        if stacks is not None:
            return stacks
        return [_linear(path)]
    if not isinstance(paths, Sequence) or isinstance(paths, bytes):
        raise InputError(f"expected a path or a sequence of paths, found a {type(paths).__name__}")
    if not paths:
        raise InputError("expected at least one file, found an empty sequence")
    return [_linear(local_path(p, "weights")) for p in paths]


def _in_order(folder: Path) -> list[Path]:
    """The files of a directory by the numbers in their names."""
    files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    if not files:
        raise FileFormatError(f"{str(folder)!r} holds no files; expected one for each checkpoint")
    if len(files) > 1:
        bare = sorted(p.name for p in files if not re.search(r"\d", p.stem))
        if bare:
            raise InputError(
                f"{bare[0]!r} in {str(folder)!r} has no number in its name, so its place is unknown; pass a list of files"
            )
    files.sort(key=lambda p: (_natural(p.stem), p.name))
    numbers = [_natural(p.stem) for p in files]
    if len({len(n) for n in numbers}) > 1:
        raise InputError(
            f"names in {str(folder)!r} hold different counts of numbers ({files[0].name!r}, {files[-1].name!r}), so their order "
            "is not clear; pass a list of files"
        )
    varying = [column for column in zip(*numbers, strict=True) if len(set(column)) > 1]
    for column in varying[1:]:
        if any(x >= y for x, y in itertools.pairwise(column)):
            raise InputError(
                f"the numbers in the names of {str(folder)!r} order the files differently (as in {files[0].name!r}, "
                f"{files[-1].name!r}: {varying[0][0]}, … or {column[0]}, …); pass a list of files in order"
            )
    for a, b in itertools.pairwise(files):
        if _natural(a.stem) == _natural(b.stem):
            raise InputError(f"{a.name!r} and {b.name!r} have the same numbers; pass a list of files in order")
    return files


def _stacks(path: Path) -> list[list[FloatArray]] | None:
    """Checkpoints from stacks of matrices; None where the file holds matrices."""
    every = read_arrays(path)
    arrays = {n: a for n, a in every.items() if a.ndim == 3}
    if not arrays:
        return None
    for name, array in every.items():
        if name not in arrays and (array.ndim > 3 or np.any(array != 0)):
            raise InputError(
                f"{str(path)!r} holds stacks of checkpoints (T, rows, columns), and {name!r} of shape {array.shape}, which is "
                "none; give every layer as a stack, and no biases"
            )
    lengths = {len(a) for a in arrays.values()}
    if len(lengths) > 1:
        raise InputError(
            f"{str(path)!r} holds stacks of {sorted(lengths)} checkpoints; expected one number for all layers"
        )
    layers = [arrays[n] for n in sorted(arrays, key=_natural)]
    return [[np.asarray(stack[t], dtype=np.float64) for stack in layers] for t in range(lengths.pop())]


def _linear(path: Path) -> list[FloatArray]:
    if path.suffix.lower() == ".npz":
        weights, left_out = read_weights(path)
        arrays = read_arrays(path)
        biased = [n for n in left_out if arrays[n].ndim == 1 and np.any(arrays[n] != 0)]
    else:
        net = read_chain(path)
        weights = [np.asarray(w) for w in net.weights]
        biased = [f"layer {i + 1}" for i, b in enumerate(net.biases) if np.any(b != 0)]
    if biased:
        raise InputError(f"{str(path)!r} has biases that are not zero ({', '.join(biased)}); a linear network has none")
    return [np.asarray(w, dtype=np.float64) for w in weights]
