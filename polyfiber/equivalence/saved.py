"""Answers in files: the claim with both networks, to be checked by whoever reads it, with no trust in what made it."""

from __future__ import annotations

import base64
import json
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .._typing import Array
from ..bounds.tree import SIGNS, Tree
from ..domain import Box, Polyhedron
from ..errors import FileFormatError, PolyfiberError
from ..network.model import ReLUNetwork
from ..network.names import local_path
from ..numerics.floats import as_float
from ..verdict import Verdict
from .answer import Equivalence
from .bounds.near_equal import NearEqual, Question
from .witness import Witness, exact_output

KIND = "polyfiber answer"
VERSION = 3
"""2: with ``relative``; what needs none is written as 1. 3: a tree with signs of neurons."""
LARGEST = 1 << 28
"""Bytes of a file that is read."""


def save_answer(answer: Equivalence, path: str | Path) -> None:
    """Write the claim of an answer, the networks, and the witness, as JSON; numbers exactly, as hexadecimal floats or
    ratios.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.saved import load_answer, save_answer
    >>> a = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "answer.json"
    >>> save_answer(pf.are_equivalent(a, a), file)
    >>> load_answer(file).recheck().verdict
    <Verdict.YES: 'yes'>
    """
    domain: Any = None
    if isinstance(answer.domain, Box):
        domain = {"lo": _texts(answer.domain.lo), "hi": _texts(answer.domain.hi)}
    elif answer.domain is not None:
        domain = {"A": [_texts(row) for row in answer.domain.A], "b": _texts(answer.domain.b)}
    signs = answer.near is not None and answer.verdict is Verdict.YES and answer.near.tree.neurons > 0
    relative = None if answer.near is None or not (signs or answer.near.relative.any()) else answer.near.relative
    data = {
        "kind": KIND, "version": 3 if signs else 1 if relative is None else 2, "verdict": answer.verdict.value, "method": answer.method, "reason": answer.reason,
        "tolerance": float(answer.tolerance).hex(),
        "epsilon": None if answer.epsilon is None else _texts(np.atleast_1d(np.asarray(answer.epsilon, dtype=np.float64))),
        "bound": None if answer.bound is None else float(answer.bound).hex(), "domain": domain,
        "witness": None if answer.proof is None else _texts(answer.proof.x),
        "networks": [_network(net) for net in (answer.a, answer.b)],
        "boxes": None if answer.near is None or (relative is None and answer.verdict is not Verdict.YES) else _boxes(answer.near),
    }  # fmt: skip
    if relative is not None:
        data["relative"] = _texts(relative)
    local_path(path, "an answer").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def load_answer(path: str | Path) -> Equivalence:
    """Read a claim. It is what the file says; `Equivalence.recheck` says whether it holds.

    Raises
    ------
    FileFormatError
        No such file, or one that `save_answer` did not write.
    """
    file = local_path(path, "an answer")
    try:
        if file.stat().st_size > LARGEST:
            raise FileFormatError(f"{file} has {file.stat().st_size} bytes; an answer has at most {LARGEST}")
        data = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("kind") != KIND:
            raise FileFormatError(f"{file} is no saved answer: expected the kind {KIND!r}")
        if not isinstance(data["version"], int) or data["version"] > VERSION:
            raise FileFormatError(f"{file}: answer of format {data['version']}, newer than {VERSION}")
        a, b = (_read_network(net) for net in data["networks"])
        proof = None
        if data["witness"] is not None:
            x = _numbers(data["witness"]).astype(np.float64)
            u, v = exact_output(a, x), exact_output(b, x)
            gap = max(abs(p - q) for p, q in zip(u, v))
            proof = Witness(x, (u, v), as_float(gap), "exact")
        epsilon = None if data["epsilon"] is None else _numbers(data["epsilon"]).astype(np.float64)
        domain = _read_domain(data["domain"])
        verdict, near = Verdict(data["verdict"]), None
        relative = _numbers(data["relative"]).astype(np.float64) if data["version"] > 1 else 0.0
        if data.get("boxes") is not None and domain is not None and epsilon is not None:
            bound = float.fromhex(data["bound"]) if data["bound"] is not None else float("inf")
            question = Question.of(a, b, domain, epsilon, relative)
            point = None if proof is None else proof.x
            near = NearEqual(
                a, b, domain, question.epsilon, question.relative, verdict, "read from a file", bound, point, None, None,
                1.0, 0, 0, 0, _read_boxes(data["boxes"], question), 0.0,
            )  # fmt: skip
        elif data.get("boxes") is not None:
            raise FileFormatError(f"{file} has boxes and no domain or epsilon")
        elif np.any(relative):
            raise FileFormatError(f"{file} allows a part of |f| and has no boxes")
        return Equivalence(
            near=near, a=a, b=b, verdict=verdict, method=str(data["method"]), reason=str(data["reason"]),
            tolerance=float.fromhex(data["tolerance"]), domain=domain, epsilon=epsilon if epsilon is None or epsilon.size > 1 else float(epsilon[0]),
            bound=None if data["bound"] is None or verdict is Verdict.NO else float.fromhex(data["bound"]), proof=proof,
        )  # fmt: skip
    except FileFormatError:
        raise
    except (
        OSError,
        PolyfiberError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        zlib.error,
    ) as error:
        text = f"{type(error).__name__}: {error}"[:200]
        raise FileFormatError(f"{file} is no answer that can be read: {text}") from None


def _boxes(near: NearEqual) -> dict[str, Any]:
    """The tree: the input or sign that each node splits or the mark of a leaf, a byte or two each, compressed."""
    codes = near.tree.packed()
    packed = zlib.compress(codes.astype(f"<i{codes.dtype.itemsize}").tobytes(), 9)
    signs = {"neurons": near.tree.neurons} if near.tree.neurons else {}
    return {"bytes": codes.dtype.itemsize, "codes": base64.b64encode(packed).decode("ascii"), **signs}


def _read_boxes(data: Any, question: Question) -> Tree:
    if data["bytes"] not in (1, 2, 4):
        raise FileFormatError(f"codes of boxes take 1, 2 or 4 bytes, found {data['bytes']!r}")
    unpacker = zlib.decompressobj()
    raw = unpacker.decompress(base64.b64decode(data["codes"], validate=True), LARGEST)
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise FileFormatError(f"the codes of boxes are cut off, or more than {LARGEST} bytes")
    codes, hidden = np.frombuffer(raw, dtype=f"<i{data['bytes']}"), sum(question.sides[0].widths[1:-1])
    neurons = data.get("neurons", hidden if SIGNS in codes else 0)
    if neurons not in (0, hidden):
        raise FileFormatError(f"a tree with signs of {neurons!r} neurons, where the networks have {hidden}")
    return Tree.unpacked(*question.box, codes, neurons)


def _texts(values: Array) -> list[str]:
    return [str(v) if isinstance(v, Fraction) else float(v).hex() for v in values]


def _numbers(texts: Any) -> Array:
    """Floats, or rationals where one of them is written as a ratio."""
    if any(len(t) > 4096 for t in texts):
        raise FileFormatError("a number has more than 4096 characters")
    exact = not all("x" in t for t in texts)
    values = [Fraction(float.fromhex(t)) if "x" in t else Fraction(t) for t in texts]
    return np.array(values, dtype=object) if exact else np.array([float(v) for v in values])


def _network(net: ReLUNetwork) -> dict[str, Any]:
    flat = [_texts(part.ravel()) for pair in zip(net.weights, net.biases) for part in pair]
    return {"architecture": list(net.architecture), "parameters": flat}


def _read_network(data: Any) -> ReLUNetwork:
    widths, flat = data["architecture"], [_numbers(part) for part in data["parameters"]]
    weights = [flat[2 * l].reshape(b, a) for l, (a, b) in enumerate(zip(widths[:-1], widths[1:]))]
    return ReLUNetwork(weights, [flat[2 * l + 1] for l in range(len(weights))])


def _read_domain(data: Any) -> Polyhedron | None:
    if data is None:
        return None
    if "lo" in data:
        return Box(_numbers(data["lo"]), _numbers(data["hi"]))
    return Polyhedron(np.array([_numbers(row) for row in data["A"]]), _numbers(data["b"]))
