"""KerasTuner's messages and service, without KerasTuner.

Importing `keras_tuner` takes six seconds of a core and 600 MB, for it brings TensorFlow. A worker
needs neither: its processes train, and it only speaks for them.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


def _load() -> ModuleType:
    if "keras_tuner" in sys.modules:
        return import_module("keras_tuner.src.protos")
    spec = find_spec("keras_tuner")
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    # Empty packages in the right places, only while the modules below them are imported.
    above = {"keras_tuner": root, "keras_tuner.src": root / "src"}
    for name, folder in above.items():
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    try:
        return import_module("keras_tuner.src.protos")
    finally:
        for name in above:
            del sys.modules[name]


_protos = _load()

service = _protos.get_service()
service_grpc = _protos.get_service_grpc()
messages = _protos.get_proto()
