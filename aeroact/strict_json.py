"""What strict JSON can hold."""

import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any, digits: int = 17) -> Any:
    """Return what strict JSON can hold: no array, no tuple, and None for what is no number.

    Numbers have that many significant digits; with 17 they are exact.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item, digits) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist(), digits)
    if isinstance(value, list | tuple):
        return [plain(item, digits) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value
