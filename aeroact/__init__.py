"""Neural emulators of aerosol activation for climate models.

The package follows one direction: a cloud parcel model makes a dataset
(`aeroact.physics`, `aeroact.states`, `aeroact.generate`), a two-step search
finds networks that follow it (`aeroact.hpo`), and an export turns them into
ranked ONNX emulators (`aeroact.export`) that Python and Fortran can load.

Everything heavy is imported when it is first used, so that ``import aeroact``
stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["AeroactError", "arg2000", "load", "simulate", "states"]

if TYPE_CHECKING:
    from aeroact import states
    from aeroact.errors import AeroactError
    from aeroact.physics.arg2000 import arg2000
    from aeroact.physics.parcel import simulate
    from aeroact.zoo import load

_HOME = {
    "AeroactError": "aeroact.errors",
    "arg2000": "aeroact.physics.arg2000",
    "load": "aeroact.zoo",
    "simulate": "aeroact.physics.parcel",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name == "states":
        return import_module("aeroact.states")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'aeroact' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
