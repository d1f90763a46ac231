"""What the structure of a module does not show: hooks and modes; and the check of what was read."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...._typing import Array
from ....errors import InputError, UnsupportedLayerError
from ...model import ReLUNetwork
from ...piecewise import PiecewiseLinearNetwork

CLOSE = 1e-4
"""Relative difference of one run beyond which the network is not that of the module; in single precision 100 times
that.
"""


def refuse_hooks(module: Any) -> None:
    """UnsupportedLayerError if a module in it carries a forward hook: it may change what the module computes."""
    for name, part in module.named_modules():
        if getattr(part, "_forward_hooks", None) or getattr(part, "_forward_pre_hooks", None):
            where = f"{name} ({type(part).__name__})" if name else type(part).__name__
            raise UnsupportedLayerError(
                f"{where} carries a forward hook, which may change what it computes; remove it first (the handle's "
                "remove(), torch.nn.utils.prune.remove, remove_weight_norm)",
                layer=name,
            )


@contextmanager
def evaluated(module: Any) -> Iterator[None]:
    """The module in evaluation mode; each part is left in the mode it had."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


def refuse_dropout(node: Any, called: str) -> None:
    """UnsupportedLayerError for a dropout that stays on in evaluation mode: ``F.dropout(x)`` without ``training=``."""
    if "dropout" not in called or node.op == "call_module":
        return
    on = node.kwargs.get("training", node.kwargs.get("train", node.args[2] if len(node.args) > 2 else True))
    if on:
        raise UnsupportedLayerError(
            f"{node.name}: {called} is on in evaluation mode too; write training=self.training, or a Dropout layer",
            node=node.name,
        )


# ---- the check ----------------------------------------------------------------------------------
def check_run(module: Any, network: ReLUNetwork | PiecewiseLinearNetwork, shapes: Sequence[Sequence[int]]) -> None:
    """InputError where the module and the network differ at two random inputs.

    Not of modules with several outputs that end in heads or are equal. A trace does not show all: ``y = x; y += 1`` is
    recorded as a sum that leaves ``x`` alone.
    """
    notes = " ".join(network.source.get("notes", ()))
    if " before its " in notes or " share one network" in notes:
        return  # several outputs of which the network shows other values, or fewer
    rng = np.random.default_rng(0)
    for size in (1.0, 10.0):
        inputs = [size * rng.standard_normal((1, *shape)) for shape in shapes]
        expected, close = _run(module, inputs)
        if expected is None:
            continue
        found = _headed(
            np.asarray(network(np.concatenate([x.ravel() for x in inputs])), dtype=np.float64).ravel(),
            network.source.get("head"),
        )
        if not np.isfinite(expected).all() or network.source.get("head") == "argmax":
            continue
        same = expected.shape == found.shape
        scale = max(np.abs(expected).max(initial=0.0), np.abs(found).max(initial=0.0))
        gap = np.abs(expected - found).max(initial=0.0) if same else np.inf
        if not gap <= close * scale + 1e-9:
            raise InputError(
                f"the forward of {type(module).__name__} is not what its trace shows: at a random input it gives "
                f"{expected[:4].tolist()}, the trace {found[:4].tolist()}. Values changed in place (+=, relu_) or random ones "
                "do that; write results to new values, or export the module to ONNX and use read_network"
            )


def _run(module: Any, inputs: Sequence[Array]) -> tuple[Array | None, float]:
    """The outputs of a copy in double precision, or else of the module in its own; and how close they are."""
    import torch

    first = next(iter(module.parameters()), None)
    device = None if first is None else first.device
    dtype = torch.float32 if first is None else first.dtype
    close = CLOSE if dtype == torch.float64 else CLOSE * 100 if dtype == torch.float32 else CLOSE * 1000
    with evaluated(module), torch.no_grad():
        try:
            out = copy.deepcopy(module).double()(*(torch.tensor(x, device=device) for x in inputs))
            close = CLOSE
        except Exception:  # what cannot be copied, or names its own precision
            try:
                out = module(*(torch.tensor(x, device=device, dtype=dtype) for x in inputs))
            except Exception as error:
                raise InputError(
                    f"the forward of {type(module).__name__} cannot be run on inputs of shape {', '.join(str(x.shape[1:]) for x in inputs)} "
                    f"({str(error)[:200]}); give input_shape=(…), the shape of one input, batch left out"
                ) from None
    outs = list(out) if isinstance(out, tuple | list) else [out]
    if not all(hasattr(o, "detach") for o in outs):
        return None, close
    return np.concatenate([o.detach().cpu().double().numpy().ravel() for o in outs]), close


def _headed(values: Array, head: str | None) -> Array:
    """What a head makes of the outputs of a network."""
    if head == "sigmoid":
        return np.asarray(np.exp(-np.logaddexp(0.0, -values)))
    if head in ("softmax", "log-softmax"):
        logs = values - np.logaddexp.reduce(values)
        return np.asarray(logs if head == "log-softmax" else np.exp(logs))
    return values
