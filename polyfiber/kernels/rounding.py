"""The unit of rounding. Sums and bounds in Python are in `polyfiber.numerics.rounding`, which hands this on."""

from __future__ import annotations

UNIT = 2.0**-53
"""Largest relative error of one rounded operation on float64, to nearest and without underflow."""
LEAST = 2.0**-1074
"""The least positive float: twice what one operation loses where it underflows."""
TINY = 1e-300
"""More than all that underflow takes away in one bound: each operation loses 2^-1075 at most."""
