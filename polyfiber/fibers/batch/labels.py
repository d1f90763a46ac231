"""Fiber labels for batches of three-layer bottleneck networks.

The complete generic classification depends on the signs of ``(W2 | b2)`` alone (Theorem 5), so a
million networks a second can be labelled. Genericity beyond those signs (ranks of masked products,
general position) is assumed here and checked by `polyfiber.classify_fiber`, one network at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._typing import Array, BoolArray, FloatArray, SignArray
from ..._values.read_only import closed
from ...columns import Columns
from ...errors import InputError, old_name
from ...kernels.fibers.labels import Labels, fiber_labels
from ...network.model import NetworkBatch
from ...numerics.rounding import UNIT
from ...words import Sentence, count, one_line

KINDS = ("identifiable", "layerwise", "hiding", "constant", "undecided")


@closed
@dataclass(frozen=True)
class FiberLabels(Sentence):
    """Labels of a batch.

    Attributes
    ----------
    kind : (B,) int8
        Index into `KINDS`; 4 where a sign is within its error bound, an entry is zero, or the
        architecture is no bottleneck with ``n1 >= 2``.
    hidden_hyperplane : (B,) int16
        -1 where none is hidden.
    n_dead, n_linear : (B,) int16
        Neurons of layer 2.
    roles : (B, n2) int8
        0 nonlinear, 1 linear, 2 dead.
    margin : (B,) float64
        Least entry of ``(W2 | b2)`` relative to its row; the labels hold for every
        network whose rows differ by less.
    sign_error : float
        Relative size below which an entry has no sign.
    n_undecided : (B,) int32
        Entries without a sign, zero rows of layer 1, zero columns of layer 3.
    applies : bool
        Whether the theorem covers these widths: no more neurons in layer 1 than inputs, and at least two.

    Examples
    --------
    >>> import polyfiber as pf
    >>> labels = pf.fibers.classify_batch(pf.NetworkBatch.random((4, 3, 2, 2), 5, rng=0))
    >>> labels.kind.shape, labels.applies
    ((5,), True)
    """

    __repr__ = one_line

    kind: SignArray
    hidden_hyperplane: Array
    n_dead: Array
    n_linear: Array
    roles: SignArray
    margin: FloatArray
    sign_error: float
    n_undecided: Array
    applies: bool = True

    @property
    def sentence(self) -> str:
        """What the labels say together, and what to ask where they say nothing."""
        networks = count(len(self.kind), "network")
        if not self.applies:
            return (
                f"The labels do not apply to these {networks}: the theorem behind them is for a first hidden layer of at"
                " least two neurons and no more than there are inputs. pf.classify_fiber answers other widths, one"
                " network at a time."
            )
        found = [f"{n} {name}" for name, n in self.counts_by_kind().items() if n]
        more = (
            ""
            if self.decided.all()
            else " Undecided are those with a sign within its error, or a zero entry: pf.classify_fiber decides them, one"
            " at a time; where weights are more accurate, a smaller sign_error= decides more of them at once."
        )
        return f"Of {networks}: {', '.join(found)}; by signs alone, for generic weights.{more}"

    @property
    def decided(self) -> BoolArray:
        """Where the label is decided."""
        result: BoolArray = self.kind != 4
        return result

    @property
    def identifiable(self) -> BoolArray:
        """Where the network is identifiable; False also where undecided."""
        result: BoolArray = self.kind == 0
        return result

    def table(self) -> Columns:
        """One row a network: kind as text, hidden hyperplane, numbers of dead and linear neurons, margin.

        Examples
        --------
        >>> import polyfiber as pf
        >>> labels = pf.fibers.classify_batch(pf.NetworkBatch.random((4, 4, 3, 1), 5, rng=0))
        >>> labels.table()
        Columns(5 rows, one a network: kind, hidden_hyperplane, n_dead, n_linear, margin)
        """
        return Columns(
            "network",
            {
                "kind": np.array(self.kind_names(), dtype=object), "hidden_hyperplane": self.hidden_hyperplane,
                "n_dead": self.n_dead, "n_linear": self.n_linear, "margin": self.margin,
            },
            {
                "kind": "kind of the fiber", "hidden_hyperplane": "hyperplane of layer 1 that can be translated, -1 for none",
                "n_dead": "neurons of layer 2 that are never active", "n_linear": "neurons of layer 2 that are always active",
                "margin": "least entry of (W2 | b2) relative to its row",
            },
        )  # fmt: skip

    def kind_names(self) -> list[str]:
        """Kinds as text."""
        return [KINDS[k] for k in self.kind]

    names = old_name("kind_names")

    def counts_by_kind(self) -> dict[str, int]:
        """How many networks of each kind."""
        found = np.bincount(self.kind, minlength=len(KINDS))
        return {name: int(c) for name, c in zip(KINDS, found)}

    counts = old_name("counts_by_kind")


def classify_batch(batch: NetworkBatch, *, sign_error: float = 4 * UNIT) -> FiberLabels:
    """Labels of every network of a batch, with margins and sign error bounds.

    Parameters
    ----------
    batch : NetworkBatch
        Two hidden layers.
    sign_error : float
        Relative accuracy of the entries of a row of ``(W2 | b2)``; the default is four units of
        rounding, 2^-24 suits weights that were stored as float32.

    Raises
    ------
    InputError
        Not a batch, or not two hidden layers.

    Notes
    -----
    One pass over W1, W2, b2, W3 in compiled code.

    Examples
    --------
    >>> import polyfiber as pf
    >>> labels = pf.fibers.classify_batch(pf.NetworkBatch.random((8, 8, 6, 2), 1000, rng=0))
    >>> print(labels)
    Of 1000 networks: 970 identifiable, 30 layerwise; by signs alone, for generic weights.
    >>> print(pf.fibers.classify_batch(pf.NetworkBatch.random((4, 6, 4, 2), 1000, rng=0)).sentence[:42])
    The labels do not apply to these 1000 netw
    """
    if not isinstance(batch, NetworkBatch):
        raise InputError(f"expected a NetworkBatch, found {type(batch).__name__}")
    if len(batch.weights) != 3:
        raise InputError(f"labels are for two hidden layers; found {batch!r}")
    (W1, W2, W3), b2 = batch.weights, batch.biases[1]
    W1, W2, b2 = _levelled(W1, W2, b2)
    B, n2 = b2.shape
    kind, hidden = np.empty(B, dtype=np.int8), np.empty(B, dtype=np.int16)
    counts, roles = np.empty((B, 2), dtype=np.int16), np.empty((B, n2), dtype=np.int8)
    margin, undecided = np.empty(B), np.empty(B, dtype=np.int32)
    fiber_labels(W1, W2, b2, W3, float(sign_error), Labels(kind, hidden, counts, roles, margin, undecided))
    applies = 2 <= W1.shape[1] <= W1.shape[2]
    return FiberLabels(kind, hidden, counts[:, 0], counts[:, 1], roles, margin, float(sign_error), undecided, applies)


def _levelled(W1: FloatArray, W2: FloatArray, b2: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The same signs and margins, where squares would leave the range of floats: rows rescaled by powers of two.

    What is lost below the smallest float is a zero, and undecided.
    """
    sizes = [np.abs(w).max(axis=-1) if w is not b2 else np.abs(w) for w in (W1, W2, b2)]
    if all(((s == 0) | ((s > 2.0**-120) & (s < 2.0**120))).all() for s in sizes):
        return W1, W2, b2
    before = np.frexp(sizes[0])[1]
    parts, powers = np.frexp(W2)
    powers = powers + before[:, None, :]
    part, power = np.frexp(b2)
    after = np.maximum(np.where(parts != 0, powers, -5000).max(axis=2), np.where(part != 0, power, -5000))
    after = np.where(after > -5000, after, 0)
    return (
        np.ldexp(W1, -before[:, :, None]), np.ldexp(parts, powers - after[:, :, None]), np.ldexp(part, power - after)
    )  # fmt: skip
