"""ONNX graphs as exporters write them, read as piecewise-linear networks.

`model` parses a file with the ``onnx`` package, after `limits` has counted what that would cost. `graph` runs the
nodes that the outputs need: every tensor is a constant, a signal (an array of slots of a wiring), or beyond the head.
`movement` moves values, `constants` computes with constants, `affine` makes affine maps, `windows` describes
convolutions and poolings; units become gates. `signals` says what flows; `heads` what may stand behind the head;
`nested` graphs are functions and branches; `rows` are those of a fixed batch.
"""

from __future__ import annotations

from typing import Any

from ....errors import InputError
from ...model import ReLUNetwork
from ...piecewise import PiecewiseLinearNetwork
from .graph import Graph
from .model import parse_model
from .rows import RowsMixed

__all__ = ["read"]


def read(data: bytes, source: dict[str, Any]) -> ReLUNetwork | PiecewiseLinearNetwork:
    """Network of an ONNX file."""
    model = parse_model(data)
    source["format"] = "onnx"
    if model.producer:
        source["producer"] = model.producer
    graph: Graph | None = None
    try:
        graph = Graph(model, len(data))
        return graph.network(source)
    except InputError as error:
        if not isinstance(error, RowsMixed) and (graph is None or graph.batch is None):
            raise
        # a first axis of fixed size may be one of features after all
        try:
            return Graph(parse_model(data), len(data), whole=True).network(source)
        except InputError as second:
            if not isinstance(error, RowsMixed):
                raise error from None
            # the rows are one point then, and that is not what is in the way
            why = str(error).split(", which is then no batch")[0]
            second.args = (f"{second} (All rows of the input are read as one point here: {why}.)",)
            raise second from None
