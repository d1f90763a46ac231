"""Query files of VNN-LIB: 2.0 through the package of its authors, 1.0 by a reader of our own.

A query declares inputs and outputs of one or two networks and asserts linear statements about them; what is asked is
whether an input exists where all assertions hold. Numbers are taken as rationals, as they are written.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ... import words
from ...errors import FileFormatError, InputError, MissingDependencyError
from ...network.names import local_path
from .formulas import Both, Either, Formula, Linear, Variable, compare

LARGEST = 1 << 26
"""Bytes of a query file."""
DEEPEST = 200
"""Brackets inside each other."""
MOST_ENTRIES = 1 << 22
TYPES = {"Real": "Real", "F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16"}
"""Element types by the names of the package and of the language."""


@dataclass(frozen=True)
class Tensor:
    """A declared input or output: its name, element type, shape, and the entry that its first one is."""

    name: str
    kind: str
    shape: tuple[int, ...]
    first: int

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Declared:
    """A declared network.

    Attributes
    ----------
    name : str
    inputs, outputs : tuple of Tensor
    equal_to, isomorphic_to : str
        Another network that it equals, or that it has the architecture of; empty without one.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    equal_to: str = ""
    isomorphic_to: str = ""

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return sum(t.size for t in self.inputs)

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return sum(t.size for t in self.outputs)


@dataclass(frozen=True)
class Query:
    """Declared networks and what is asserted.

    Attributes
    ----------
    version : int
        1 or 2.
    networks : tuple of Declared
    formula : Formula
        Of entries counted through the inputs, and through the outputs, of each network.
    """

    version: int
    networks: tuple[Declared, ...]
    formula: Formula


def read_query(path: str | Path) -> Query:
    """Read a query file.

    Raises
    ------
    FileFormatError
        No such file, or no query.
    InputError
        A query of a kind that is not decided: more than two networks, hidden nodes, products of variables.
    MissingDependencyError
        A query of version 2 without the package vnnlib.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from polyfiber.equivalence.queries.vnnlib import read_query
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "q.vnnlib"
    >>> _ = file.write_text("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 1.5))(assert (>= Y_0 1e-3))")
    >>> query = read_query(file)
    >>> query.version, query.networks[0].n_inputs, len(query.formula.parts)
    (1, 1, 2)
    """
    file = local_path(path, "a query")
    try:
        if file.stat().st_size > LARGEST:
            raise FileFormatError(f"{file} has {file.stat().st_size} bytes; a query has at most {LARGEST}")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileFormatError(f"{file} cannot be read as a query: {reason}") from None
    return parse_query(text, name=str(file))


def parse_query(text: str, *, name: str = "the query") -> Query:
    """`read_query` for text."""
    bare = re.sub(r";[^\n]*", "", text)
    if not bare.strip():
        raise FileFormatError(f"{name} is empty; expected declarations and assertions of VNN-LIB")
    depth = deepest = 0
    for mark in re.findall(r"[()]", bare):
        depth += 1 if mark == "(" else -1
        deepest = max(deepest, depth)
        if depth < 0:
            break
    if depth or deepest > DEEPEST:
        raise FileFormatError(f"{name} has brackets that do not match, or more than {DEEPEST} inside each other")
    if "declare-network" in bare or "vnnlib-version" in bare:
        return _second(bare, name)
    return _first(bare, name)


# ---- version 2 --------------------------------------------------------------------------------------
def _second(text: str, name: str) -> Query:
    try:
        import vnnlib
    except ImportError:
        raise MissingDependencyError("vnnlib", extra="vnnlib", purpose="reading a query of VNN-LIB 2") from None
    # the standard writes the type both ways, the package knows one
    text = re.sub(r"(declare-(?:input|output)\s+\w+\s+)Real\b", r"\1real", text)
    try:
        query = vnnlib.parse_query_string(text)
    except vnnlib.VNNLibException as error:
        raise FileFormatError(f"{name} is no query of VNN-LIB 2: {_told(str(error))}") from None
    networks, places = [], {}
    for number, net in enumerate(query.networks):
        if net.hidden:
            raise InputError(f"{name}: network {net.name} declares hidden nodes; only inputs and outputs are decided")
        sides = []
        for output, declared in ((False, net.inputs), (True, net.outputs)):
            tensors, first = [], 0
            for d in declared:
                kind = TYPES.get(d.dtype.name)
                if kind is None:
                    raise InputError(f"{name}: {d.name} has the element type {d.dtype.name}; expected real or floats")
                tensor = Tensor(d.name, kind, tuple(int(k) for k in d.shape), first)
                if any(k < 0 for k in tensor.shape) or not 0 < tensor.size <= MOST_ENTRIES:
                    raise InputError(
                        f"{name}: {d.name} has the shape {list(tensor.shape)}; expected 1 to {MOST_ENTRIES} entries"
                    )
                if d.onnx_name and len(declared) > 1:
                    raise InputError(f"{name}: {d.name} is matched by the name of a node; only by order is supported")
                tensors.append(tensor)
                places[d.name] = (number, output, tensor)
                first += tensor.size
            sides.append(tuple(tensors))
        networks.append(Declared(net.name, sides[0], sides[1], str(net.equal_to), str(net.isometric_to)))
    formulas = tuple(_boolean(a.expr, places, vnnlib) for a in query.assertions)
    return _checked(Query(2, tuple(networks), Both(formulas)), name)


def _told(error: str) -> str:
    """The first message of the package, which comes as JSON where it is about types."""
    try:
        found = json.loads(error)["errors"]
        text = "; ".join(
            f"line {e.get('line')}: {e['message']} {e.get('offendingSymbol', '')}".strip() for e in found[:3]
        )
    except (ValueError, KeyError, TypeError):
        text = error
    return " ".join(text.split())[:300]


def _boolean(expr: Any, places: dict[str, Any], vnnlib: Any) -> Formula:
    if isinstance(expr, vnnlib.And | vnnlib.Or):
        parts = tuple(_boolean(e, places, vnnlib) for e in expr.args)
        return Both(parts) if isinstance(expr, vnnlib.And) else Either(parts)
    signs = {
        vnnlib.LessEqual: "<=", vnnlib.LessThan: "<", vnnlib.GreaterEqual: ">=", vnnlib.GreaterThan: ">",
        vnnlib.Equal: "==", vnnlib.NotEqual: "!=",
    }  # fmt: skip
    sign = next((s for kind, s in signs.items() if isinstance(expr, kind)), None)
    if sign is None:
        raise InputError(f"{type(expr).__name__} is no comparison, and, or")
    return compare(_arithmetic(expr.lhs, places, vnnlib), sign, _arithmetic(expr.rhs, places, vnnlib))


def _arithmetic(expr: Any, places: dict[str, Any], vnnlib: Any) -> Linear:
    if isinstance(expr, vnnlib.Var):
        network, output, tensor = places[expr.name]
        index = _flat(tuple(int(i) for i in expr.indices), tensor)
        return Linear({Variable(network, output, tensor.first + index): Fraction(1)}, Fraction(0))
    if isinstance(expr, vnnlib.Negate):
        return _arithmetic(expr.expr, places, vnnlib).times(Fraction(-1))
    if isinstance(expr, vnnlib.Minus):
        found = _arithmetic(expr.head, places, vnnlib)
        for part in expr.rest:
            found = found + _arithmetic(part, places, vnnlib).times(Fraction(-1))
        return found
    if isinstance(expr, vnnlib.Plus | vnnlib.Multiply):
        first, *rest = (_arithmetic(e, places, vnnlib) for e in expr.args)
        for part in rest:
            first = first + part if isinstance(expr, vnnlib.Plus) else first * part
        return first
    if hasattr(expr, "lexeme"):
        return Linear({}, number(expr.lexeme))
    raise InputError(f"{type(expr).__name__} is no number, variable, sum or product")


def _flat(indices: tuple[int, ...], tensor: Tensor) -> int:
    if len(indices) != len(tensor.shape) or not all(0 <= i < n for i, n in zip(indices, tensor.shape)):
        raise InputError(f"{tensor.name}{list(indices)} is no entry of {tensor.name}, of shape {list(tensor.shape)}")
    place = 0
    for i, n in zip(indices, tensor.shape):
        place = place * n + i
    return place


# ---- version 1 --------------------------------------------------------------------------------------
def _first(text: str, name: str) -> Query:
    sizes = [0, 0]
    formulas = []
    for item in _items(text, name):
        if isinstance(item, list) and len(item) == 3 and item[0] in ("declare-const", "declare-fun"):
            place = _entry(item[1], name)
            if item[2] != "Real":
                raise InputError(f"{name}: {item[1]} is {item[2]!r}; expected Real")
            sizes[place.output] = max(sizes[place.output], place.place + 1)
        elif isinstance(item, list) and len(item) == 2 and item[0] == "assert":
            formulas.append(_logic(item[1], name))
        else:
            raise FileFormatError(f"{name}: expected (declare-const X_0 Real) and (assert …), found {_short(item)}")
    if not all(sizes) or max(sizes) > MOST_ENTRIES:
        raise FileFormatError(
            f"{name} declares {words.count(sizes[0], 'input')} X_i and {words.count(sizes[1], 'output')} Y_j; expected at least one each"
        )
    tensors = [(Tensor(letter, "Real", (size,), 0),) for letter, size in zip("XY", sizes)]
    return _checked(Query(1, (Declared("N", tensors[0], tensors[1]),), Both(tuple(formulas))), name)


def _items(text: str, name: str) -> list[Any]:
    """S-expressions as nested lists."""
    stack: list[list[Any]] = [[]]
    for token in re.findall(r"[()]|[^\s()]+", text):
        if token == "(":
            stack.append([])
        elif token == ")":
            if len(stack) == 1:
                raise FileFormatError(f"{name} has brackets that do not match")
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    return stack[0]


def _entry(token: Any, name: str) -> Variable:
    found = re.fullmatch(r"([XY])_(\d{1,9})", token) if isinstance(token, str) else None
    if found is None:
        raise FileFormatError(f"{name}: expected an input X_i or an output Y_j, found {_short(token)}")
    return Variable(0, found[1] == "Y", int(found[2]))


def _logic(item: Any, name: str) -> Formula:
    if not isinstance(item, list) or not item or not isinstance(item[0], str):
        raise FileFormatError(f"{name}: expected a comparison, found {_short(item)}")
    head, *rest = item
    if head in ("and", "or"):
        parts = tuple(_logic(part, name) for part in rest)
        return Both(parts) if head == "and" else Either(parts)
    if head in ("<=", ">=", "<", ">", "=", "==", "!=") and len(rest) == 2:
        return compare(_sum(rest[0], name), head, _sum(rest[1], name))
    raise FileFormatError(f"{name}: expected and, or, or a comparison of two terms, found {_short(item)}")


def _sum(item: Any, name: str) -> Linear:
    if isinstance(item, str):
        if item[:2] in ("X_", "Y_"):
            return Linear({_entry(item, name): Fraction(1)}, Fraction(0))
        return Linear({}, number(item))
    if not item or item[0] not in ("+", "-", "*") or len(item) < 2:
        raise FileFormatError(f"{name}: expected a term, found {_short(item)}")
    first, *rest = (_sum(part, name) for part in item[1:])
    if item[0] == "-" and not rest:
        return first.times(Fraction(-1))
    for part in rest:
        first = first * part if item[0] == "*" else first + (part if item[0] == "+" else part.times(Fraction(-1)))
    return first


def _checked(query: Query, name: str) -> Query:
    if not 1 <= len(query.networks) <= 2:
        raise InputError(f"{name} declares {words.count(len(query.networks), 'network')}; one or two are decided")
    for number_, net in enumerate(query.networks):
        for output, most in ((False, net.n_inputs), (True, net.n_outputs)):
            used = [v.place for v in _variables(query.formula) if v.network == number_ and v.output == output]
            if used and max(used) >= most:
                raise FileFormatError(f"{name} uses entry {max(used)} of {most} {'outputs' if output else 'inputs'}")
    return query


def _variables(formula: Formula) -> set[Variable]:
    if isinstance(formula, Both | Either):
        return {v for part in formula.parts for v in _variables(part)}
    return set(formula.terms)


def number(text: str) -> Fraction:
    """A decimal as the rational that it says.

    Raises
    ------
    FileFormatError
        No decimal, or one with an exponent beyond floats.

    Examples
    --------
    >>> from polyfiber.equivalence.queries.vnnlib import number
    >>> number("-0.05"), number("1e-3")
    (Fraction(-1, 20), Fraction(1, 1000))
    """
    if len(text) > 4096 or not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", text):
        raise FileFormatError(f"expected a decimal number, found {text[:40]!r}")
    value = Fraction(text)
    if value and not Fraction(1, 10**320) < abs(value) < 10**308:
        raise FileFormatError(f"the number {text[:40]} is beyond the range of floats")
    return value


def _short(item: Any) -> str:
    return repr(item)[:60]


__all__ = ["Declared", "Query", "Tensor", "number", "parse_query", "read_query"]
