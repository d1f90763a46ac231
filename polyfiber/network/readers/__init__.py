"""Networks from files and from the objects of other libraries.

`read_network` looks at the contents of a file, not at its name, and hands the bytes to the
reader of that format; `files` bounds what reading may cost. One module reads one format; none runs code from the file.

`pt`, `safetensors`, `state` (state dicts), `torch` and `sklearn` (objects), `keras` (through `hdf5`, which reads in a
process of its own, `hdf5_child`), `nnet`, `npz` and `npz_piecewise` (our own); ``onnx`` reads graphs, and ``graphs``
makes graphs of models of other libraries for it.
"""

from __future__ import annotations

import codecs
import importlib
import itertools
import pickletools
import re
import zlib
from pathlib import Path
from typing import Any

from ...errors import FileFormatError, InputError
from ..model import ReLUNetwork
from ..names import local_path
from ..piecewise import PiecewiseLinearNetwork, require_chain
from .files import naming, read_bytes
from .sklearn import from_sklearn
from .torch import from_torch

__all__ = ["detect", "from_sklearn", "from_torch", "read_chain", "read_network"]

_INK = re.compile(rb"\S")
FORMATS = "ONNX, PyTorch state dict (.pt), safetensors, Keras (.h5, .keras), NumPy (.npz), .nnet"


def read_network(path: str | Path) -> ReLUNetwork | PiecewiseLinearNetwork:
    """Read a network from a file, deciding by its contents.

    Parameters
    ----------
    path : str or Path
        ONNX, PyTorch state dict, safetensors, Keras ``.h5`` or ``.keras``, ``.npz``, ``.nnet``.

    Returns
    -------
    ReLUNetwork or PiecewiseLinearNetwork
        A ReLUNetwork where the file is a ReLU chain, else a PiecewiseLinearNetwork. float64 parameters (float16,
        bfloat16 and float32 widen exactly), or exact rationals from an ``.npz`` that holds them. ``net.source`` holds
        ``file``, ``format``, ``dtype``, ``head`` (``'sigmoid'``, ``'softmax'``, … when the outputs are its logits, else
        None), ``folding`` (what was multiplied out, with a bound for each parameter) and ``notes``.

    Raises
    ------
    FileFormatError
        Truncated, empty, too large, a pickle, or of no known format.
    UnsupportedLayerError
        A layer other than affine maps and ReLU; the message names it.
    ShapeError, InputError
        Shapes that do not chain; NaN or infinite parameters.

    Notes
    -----
    No code from the file is run: pickles are refused, and a state dict is read by a small
    interpreter that knows tensors and dictionaries only. Declared sizes are compared with the
    size of the file before memory is taken. Cost: linear in the size of the file and in the
    entries of its affine maps; folded layers cost their exact products. Limits are in the
    documentation of files. HDF5 files start a process, a quarter of a second.

    Examples
    --------
    >>> import polyfiber as pf, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "net.npz"
    >>> pf.ReLUNetwork.random((2, 3, 1), rng=0).save(path)
    >>> pf.read_network(path)
    ReLUNetwork(2-3-1, float64, 13 parameters, from net.npz)
    """
    where = local_path(path, "a network")
    source: dict[str, Any] = {"file": where.name}
    with naming(where):
        data = read_bytes(where)
        reader = importlib.import_module(f".{detect(data)}", __name__)
        network: ReLUNetwork | PiecewiseLinearNetwork = reader.read(data, source)
    return network


def read_chain(path: str | Path) -> ReLUNetwork:
    """`read_network` for callers that know ReLU chains only; InputError for any other network."""
    network = read_network(path)
    if isinstance(network, PiecewiseLinearNetwork) and not network.is_chain:
        raise InputError(
            f"{Path(path).name}: what is asked is answered for ReLU chains only, and this is no chain: {network!r}. "
            "Its to_chain() in Python is one with the same function"
        )
    return require_chain(network, "what is asked")


def detect(data: bytes) -> str:
    """Name of the reader for these bytes; raises FileFormatError with the reason when there is none."""
    if data.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _detect_zip(data)
    if len(data) > 9 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8:
        return "safetensors"
    if _is_pickle(data):
        raise FileFormatError(
            "this is a Python pickle (scikit-learn, joblib, an old or whole-module torch.save): reading one can run "
            "any code. Pass the object itself to from_sklearn or from_torch, or save it as ONNX, safetensors or .npz"
        )
    if data.startswith(b"\x93NUMPY"):
        raise FileFormatError("this is a single NumPy array; expected an .npz with W1, b1, W2, …")
    if (
        data.startswith((b"\x1f\x8b", b"\xfd7zXZ", b"(\xb5/\xfd"))
        or (data[:2] in (b"\x78\x9c", b"\x78\x01", b"\x78\xda") and _unpacked(data))
        or (data.startswith(b"BZh") and not is_text(data))
    ):
        raise FileFormatError("this file is compressed; unpack it first")
    if _is_nnet(data):
        return "nnet"
    if is_text(data):
        raise FileFormatError(f"this is a text file, and not a .nnet; expected one of: {FORMATS}")
    if data[0] & 7 in (0, 2) and data[0] >> 3 in range(1, 26):
        return "onnx"
    raise FileFormatError(f"the contents are of no known format; expected one of: {FORMATS}")


def _detect_zip(data: bytes) -> str:
    from .files import Zip

    names = Zip(data).names
    if any(n.endswith("constants.pkl") for n in names):
        raise FileFormatError(
            "this is a TorchScript archive, which holds code; save module.state_dict() or export to ONNX instead"
        )
    if any(n.endswith("data.pkl") for n in names):
        return "pt"
    if "config.json" in names or "model.weights.h5" in names:
        return "keras"
    if names and all(n.endswith(".npy") for n in names):
        return "npz"
    raise FileFormatError(f"a zip archive of {len(names)} entries that is neither .npz, .pt nor .keras")


def _is_pickle(data: bytes) -> bool:
    if data[:1] == b"\x80" and len(data) > 1 and data[1] <= 5:
        return True
    if data.startswith(
        (b"(dp", b"(lp", b"ccopy_reg", b"c__builtin__", b"cos\n", b"cposix\n")
    ):  # of the first protocol: text
        try:
            for _ in itertools.islice(pickletools.genops(data[: 1 << 16]), 1000):  # names operations, runs none
                pass
        except Exception:  # words that begin like a pickle
            return len(data) > 1 << 16
        return True
    if not is_text(data) and data[:2] in (b"\x78\x9c", b"\x78\x01", b"\x78\xda"):  # zlib, as joblib writes
        return _is_pickle(_unpacked(data)[:2])
    return False


def _unpacked(data: bytes) -> bytes:
    """The first bytes of what zlib packed."""
    try:
        return zlib.decompressobj().decompress(data[: 1 << 16], 64)
    except zlib.error:
        return b""


def is_text(data: bytes) -> bool:
    """Whether the beginning holds no byte that texts do not hold, and is UTF-8 or mostly ASCII; the formats of numbers
    hold such bytes.
    """
    head = data[:4096]
    if any(byte < 32 and byte not in b"\t\n\v\f\r" for byte in head):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # a last character may be cut
    except UnicodeDecodeError:
        return 2 * sum(byte < 128 for byte in head) > len(head)
    return True


def _is_nnet(data: bytes) -> bool:
    """Whether the first line that is neither blank nor a comment, whatever bytes comments hold, consists of numbers and
    commas.
    """
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    comments = False
    while (found := _INK.search(data, at)) is not None:
        end = data.find(b"\n", found.start())
        end = len(data) if end < 0 else end
        if data.startswith(b"//", found.start()):
            comments, at = True, end + 1
            continue
        line = data[found.start() : min(end, found.start() + 4096)].strip()
        return line[:1].isdigit() and all(c in b"0123456789, \t" for c in line)
    return comments
