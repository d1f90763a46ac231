"""Three-valued answers: yes, no, and not decided."""

from __future__ import annotations

import enum

from ._lazy import above
from .errors import NumericalError


class _Shown:
    """How notebooks show it: inherited, since an enumeration keeps names such as this for itself."""

    def _repr_html_(self) -> str:
        text: str = above("pages.notebook:html_of")(self)
        return text


class Verdict(_Shown, enum.Enum):
    """The answer of a deciding function.

    ``bool()`` of ``UNDECIDED`` raises: an open question is never rounded to yes or no.

    Examples
    --------
    >>> from polyfiber import Verdict
    >>> bool(Verdict.YES), bool(Verdict.NO)
    (True, False)
    >>> bool(Verdict.UNDECIDED)
    Traceback (most recent call last):
    ...
    polyfiber.errors.NumericalError: the question is not decided; look at the evidence instead of its truth value
    """

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"

    @classmethod
    def of(cls, value: bool | None) -> Verdict:
        """Verdict of True, False or None."""
        if value is None:
            return cls.UNDECIDED
        return cls.YES if value else cls.NO

    def __bool__(self) -> bool:
        if self is Verdict.UNDECIDED:
            raise NumericalError("the question is not decided; look at the evidence instead of its truth value")
        return self is Verdict.YES
