"""Settings that are not arguments of a single call; read from the environment once.

``POLYFIBER_NUMBA_CACHE=0`` turns the on-disk cache of compiled kernels off.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Process-wide settings."""

    numba_cache: bool = True

    @classmethod
    def from_environment(cls) -> Settings:
        """Settings as the environment variables state them."""
        return cls(numba_cache=os.environ.get("POLYFIBER_NUMBA_CACHE", "1") not in ("0", "no", "off"))


settings = Settings.from_environment()
