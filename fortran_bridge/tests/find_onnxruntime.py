"""Print the path of the shared library in this Python's onnxruntime wheel."""

import importlib.util
import sys
from pathlib import Path


def find_onnxruntime() -> Path:
    """Look the library up without loading it.

    Returns
    -------
    Path
        The wheel's ``libonnxruntime.so.VERSION``.

    Raises
    ------
    SystemExit
        If onnx or onnxruntime is not installed, or the wheel holds no such library.
    """
    onnx, onnxruntime = map(importlib.util.find_spec, ("onnx", "onnxruntime"))
    if onnx is None or onnxruntime is None or onnxruntime.origin is None:
        sys.exit("onnx or onnxruntime is not installed")
    wheel = Path(onnxruntime.origin).parent
    libraries = sorted(wheel.glob("capi/libonnxruntime.so*"))
    if not libraries:
        sys.exit(f"no libonnxruntime.so in {wheel}")
    return libraries[0]


if __name__ == "__main__":
    print(find_onnxruntime())
