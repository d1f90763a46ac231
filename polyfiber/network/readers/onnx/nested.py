"""Graphs inside a graph: functions of the file where they are called, the branch of an ``If`` that is taken.

Both become nodes of the one graph, with values named after the place where they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ....errors import FileFormatError, UnsupportedLayerError
from ...names import printable

MOST_BYTES = 1 << 26
"""Of all nodes that calls of functions become, in the bytes of a file and 200 each."""

MOST_DEPTH = 40
"""Functions that call functions."""

_STANDARD = ("", "ai.onnx", "ai.onnx.ml")


class Functions:
    """The functions that a file defines for itself.

    Parameters
    ----------
    proto : onnx.ModelProto
    """

    def __init__(self, proto: Any) -> None:
        self.versions = _versions(proto.opset_import)
        self.held: dict[tuple[str, str, str], Any] = {}
        self.spent = self.calls = 0
        for function in proto.functions:
            key = _key(function.domain, function.name, function)
            if function.domain in _STANDARD:
                raise UnsupportedLayerError(
                    f"the file defines a function {printable(function.name)!r} in the domain of the standard operators; "
                    "give it a domain of its own"
                )
            if key in self.held:
                raise FileFormatError(f"two functions have the name {printable(function.name)!r}")
            self.held[key] = function

    def opened(self, messages: Iterable[Any], depth: int = 0) -> list[Any]:
        """Nodes (NodeProto) with every call of a function as the nodes of its body."""
        nodes = []
        for message in messages:
            function = self.held.get(_key(message.domain, message.op_type, message))
            if function is None:
                nodes.append(message)
                continue
            if depth >= MOST_DEPTH:
                raise FileFormatError(
                    f"functions call each other deeper than {MOST_DEPTH}, or themselves: {printable(message.op_type)!r}"
                )
            nodes += self.opened(self._body(message, function), depth + 1)
        return nodes

    def _body(self, call: Any, function: Any) -> list[Any]:
        """Nodes of a function, its inputs, attributes and outputs those of a call."""
        from onnx import helper

        name = printable(call.name or call.op_type)
        for domain, version in _versions(function.opset_import).items():
            if domain == "" and version != self.versions.get("", version):
                raise UnsupportedLayerError(
                    f"node {name!r} ({printable(call.op_type)}) calls a function written for version {version} of the operators, "
                    f"the file is of version {self.versions['']}; convert it by onnx.inliner.inline_local_functions(model, True)",
                    node=call.name,
                    op=call.op_type,
                )
        if len(call.input) > len(function.input) or len(call.output) > len(function.output):
            raise FileFormatError(
                f"node {name!r} gives {printable(call.op_type)} more values than it takes, or takes more"
            )
        self.calls += 1
        prefix = f"{name}:{self.calls}/"
        names = dict.fromkeys(function.input, "") | dict(zip(function.input, call.input))
        passed = []  # outputs that are inputs, or an output before
        for inner, outer in zip(function.output, call.output):
            if not outer:
                continue
            if inner in names:
                passed.append(helper.make_node("Identity", [names[inner]], [outer], name=f"{prefix}{inner}"))
            else:
                names[inner] = outer
        given = {a.name: a for a in function.attribute_proto} | {a.name: a for a in call.attribute}
        nodes = []
        for inner in function.node:
            self.spent += inner.ByteSize() + 200
            if self.spent > MOST_BYTES:
                raise FileFormatError(f"the calls of functions stand for more than {MOST_BYTES:,} bytes of nodes")
            nodes.append(_copied(inner, lambda n: names.get(n, prefix + n), prefix, given))
        return nodes + passed


def branch(taken: Any, prefix: str) -> tuple[list[Any], dict[str, Any], list[str]]:
    """Nodes, tensors and names of the outputs of a branch (GraphProto), whose own values get a name of their own."""
    made = {o for n in taken.node for o in n.output if o} | {t.name for t in taken.initializer}
    if len(taken.input) or len(taken.sparse_initializer):
        raise FileFormatError(f"{prefix} is a branch with inputs, or with sparse numbers")

    def name(inner: str) -> str:
        return prefix + inner if inner in made else inner

    nodes = [_copied(n, name, prefix, {}) for n in taken.node]
    return nodes, {name(t.name): t for t in taken.initializer}, [name(v.name) for v in taken.output]


def captured(messages: Sequence[Any]) -> set[str]:
    """Every name in the branches of nodes: what they may need of the graph around them."""
    found: set[str] = set()
    stack = list(messages)
    while stack:
        for attribute in stack.pop().attribute:
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                found |= {name for n in graph.node for name in n.input} | {v.name for v in graph.output}
                stack += graph.node
    return found


def _key(domain: str, name: str, message: Any) -> tuple[str, str, str]:
    return domain, name, getattr(message, "overload", "")


def _versions(imports: Iterable[Any]) -> dict[str, int]:
    return {"" if o.domain == "ai.onnx" else o.domain: o.version for o in imports}


def _copied(message: Any, name: Callable[[str], str], prefix: str, given: dict[str, Any]) -> Any:
    """A node with other names, and attributes that refer to those of a function as they are in a call."""
    node = type(message)()
    node.CopyFrom(message)
    if node.name:
        node.name = prefix + node.name
    _renamed(node, name, given)
    return node


def _renamed(node: Any, name: Callable[[str], str], given: dict[str, Any]) -> None:
    for names in (node.input, node.output):
        names[:] = [name(n) if n else "" for n in names]
    kept = []
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            held = given.get(attribute.ref_attr_name)
            if held is None:  # optional, and not given
                continue
            attribute.CopyFrom(_named(held, attribute.name))
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            for inner in graph.node:
                _renamed(inner, name, given)
            for value in (*graph.initializer, *graph.input, *graph.output):
                value.name = name(value.name)
        kept.append(attribute)
    if len(kept) < len(node.attribute):
        copies = [_named(a, a.name) for a in kept]
        del node.attribute[:]
        node.attribute.extend(copies)


def _named(attribute: Any, name: str) -> Any:
    copy = type(attribute)()
    copy.CopyFrom(attribute)
    copy.name = name
    return copy
