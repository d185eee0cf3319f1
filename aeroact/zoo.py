"""Emulators ready for use: open a bundle, see that it is whole, predict.

Only NumPy and ONNX Runtime are needed here, never TensorFlow.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from aeroact import schema
from aeroact.errors import AeroactError
from aeroact.files import sha256

if TYPE_CHECKING:
    import xarray as xr

ONNX_FILE = "emulator.onnx"
CARD_FILE = "card.json"
SUMS_FILE = "SHA256SUMS"


class Emulator:
    """An activation emulator in ONNX Runtime.

    Parameters
    ----------
    content : bytes
        An ONNX file: input ``state`` float32 [N, 16] in schema units, output ``fn``
        float32 [N, 4], and perhaps a second output ``in_domain`` uint8 [N].
    card : dict
        Its model card.
    threads : int
        Threads of ONNX Runtime. One, because a model rank has one core.

    Raises
    ------
    AeroactError
        If it is no ONNX model, or one with another input or output.
    """

    def __init__(
        self, content: bytes, card: dict[str, Any] | None = None, threads: int = 1
    ) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self.session = ort.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
            raise AeroactError(f"not an ONNX model that can be run ({error})") from error
        self.card = card or {}
        _require_schema(self.session)

    @property
    def metadata(self) -> dict[str, str]:
        """What the ONNX file says of itself (``metadata_props``)."""
        return dict(self.session.get_modelmeta().custom_metadata_map)

    @overload
    def predict(self, x: NDArray[np.floating]) -> NDArray[np.float32]: ...
    @overload
    def predict(self, x: "xr.Dataset") -> "xr.DataArray": ...
    def predict(self, x: Any) -> Any:
        """Predict activated fractions.

        Parameters
        ----------
        x : ndarray, shape (n, 16), or xarray.Dataset
            States in schema units and column order; a Dataset has the schema's names,
            and is converted by its ``units``.

        Returns
        -------
        ndarray of float32, shape (n, 4), or xarray.DataArray
            Number fractions by mode, in [0, 1].

        Raises
        ------
        AeroactError
            If the shape is another, or a value is not finite.
        """
        if hasattr(x, "data_vars"):
            return self._predict_dataset(x)
        return self.session.run(["fn"], {"state": _state(x)})[0]

    def _predict_dataset(self, ds: "xr.Dataset") -> "xr.DataArray":
        import xarray as xr

        from aeroact import dataset

        fn = self.predict(dataset.states(dataset.in_schema(ds)))
        attrs = {"units": schema.FN.units, "long_name": schema.FN.long_name}
        dims = (schema.SAMPLE_DIM, schema.MODE_DIM)
        coords = {dim: ds[dim] for dim in dims if dim in ds.coords}
        return xr.DataArray(fn, coords, dims, schema.FN.name, attrs)

    def in_domain(self, x: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Say which states lie within the bounds of the training data, shape (n,)."""
        bounds = json.loads(self.metadata["training_bounds"])
        x = _state(x)
        low, high = (np.array(bounds[side], np.float32) for side in ("low", "high"))
        inside: NDArray[np.bool_] = np.all((x >= low) & (x <= high), axis=1)
        return inside


def load(bundle: str | Path, threads: int = 1) -> Emulator:
    """Verify and open an emulator.

    Parameters
    ----------
    bundle : str or Path
        A folder that `aeroact-export` wrote.
    threads : int
        Threads of ONNX Runtime.

    Raises
    ------
    AeroactError
        If a file is missing or is not the one that was released, or the schema is another.
    """
    folder = Path(bundle)
    verify_sums(folder)
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise AeroactError(f"{folder / CARD_FILE}: not a model card ({error})") from error
    try:
        return Emulator((folder / ONNX_FILE).read_bytes(), card, threads)
    except AeroactError as error:
        raise AeroactError(f"{folder / ONNX_FILE}: {error}") from error


def verify_sums(folder: Path) -> None:
    """Compare every file of a bundle with its `SHA256SUMS`.

    Raises
    ------
    AeroactError
        Naming the files that are missing or changed.
    """
    sums = folder / SUMS_FILE
    if not sums.is_file():
        raise AeroactError(f"{folder}: not an emulator bundle ({SUMS_FILE} is missing)")
    listed = {}
    for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
        expected, _, name = line.partition("  ")
        listed[name] = expected
    wrong = sorted({ONNX_FILE, CARD_FILE} - listed.keys())
    for name, expected in listed.items():
        if not (folder / name).is_file() or sha256(folder / name) != expected:
            wrong.append(name)
    if wrong:
        raise AeroactError(f"{folder}: missing or changed since its release: {', '.join(wrong)}")


def _require_schema(session: Any) -> None:
    signature = [
        (value.name, value.type, value.shape[1:])
        for value in (*session.get_inputs(), *session.get_outputs())
    ]
    expected = [
        ("state", "tensor(float)", [schema.N_INPUTS]),
        ("fn", "tensor(float)", [schema.N_OUTPUTS]),
    ]
    guard: tuple[str, str, list[int]] = ("in_domain", "tensor(uint8)", [])
    if signature not in (expected, [*expected, guard]):
        raise AeroactError(f"has inputs and outputs {signature}, not {expected}")
    version = session.get_modelmeta().custom_metadata_map.get("schema_version")
    if version != schema.SCHEMA_VERSION:
        raise AeroactError(
            f"has schema version {version}; this aeroact reads {schema.SCHEMA_VERSION}"
        )


def _state(x: Any) -> NDArray[np.float32]:
    state = np.ascontiguousarray(x, np.float32)
    if state.ndim != 2 or state.shape[1] != schema.N_INPUTS:
        raise AeroactError(
            f"states have shape {state.shape}; they need (n, {schema.N_INPUTS}): "
            + ", ".join(schema.COLUMNS)
        )
    if not np.isfinite(state).all():
        row, column = np.argwhere(~np.isfinite(state))[0]
        raise AeroactError(f"row {row}: {schema.COLUMNS[column]} is not finite")
    return state
