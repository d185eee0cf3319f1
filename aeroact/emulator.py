"""An emulator ready for use: open a bundle, see that it is whole, predict.

Only NumPy and ONNX Runtime are needed here, never TensorFlow.
"""

import json
from collections.abc import Mapping
from functools import cached_property
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
CARD_TEXT_FILE = "CARD.md"
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

    @cached_property
    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Lowest and highest training value of each column, shapes (16,), in schema units."""
        try:
            stated = json.loads(self.metadata["training_bounds"])
            low, high = (np.array(stated[side], np.float32) for side in ("low", "high"))
        except (KeyError, TypeError, ValueError) as error:
            raise AeroactError(f"its metadata have no training bounds ({error!r})") from error
        if low.shape != (schema.N_INPUTS,) or high.shape != (schema.N_INPUTS,):
            raise AeroactError(f"its training bounds are not those of {schema.N_INPUTS} columns")
        return low, high

    def in_domain(self, x: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Say which states lie within the bounds of the training data, shape (n,)."""
        low, high = self.bounds
        x = _state(x)
        inside: NDArray[np.bool_] = np.all((x >= low) & (x <= high), axis=1)
        return inside


def open_bundle(folder: Path, threads: int = 1) -> Emulator:
    """Verify and open an emulator.

    Parameters
    ----------
    folder : Path
        A bundle, as `aeroact-export` writes it.
    threads : int
        Threads of ONNX Runtime.

    Raises
    ------
    AeroactError
        If a file is missing or is not the one that was released, or the schema is another.
    """
    verify_sums(folder)
    card = read_card(folder)
    try:
        return Emulator((folder / ONNX_FILE).read_bytes(), card, threads)
    except AeroactError as error:
        raise AeroactError(f"{folder / ONNX_FILE}: {error}") from error


def read_card(folder: Path) -> dict[str, Any]:
    """Return a bundle's model card.

    Raises
    ------
    AeroactError
        If there is none.
    """
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise AeroactError(f"{folder / CARD_FILE}: not a model card ({error})") from error
    if not isinstance(card, dict):
        raise AeroactError(f"{folder / CARD_FILE}: not a model card (holds no object)")
    return card


def stated(card: Mapping[str, Any], key: str) -> Any:
    """Return what a card says, by a dotted name such as ``holdout.mse``.

    Raises
    ------
    AeroactError
        If it does not say it.
    """
    value: Any = card
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise AeroactError(f"{CARD_FILE}: {key} is missing")
        value = value[part]
    return value


def require_fractions(emulator: Emulator) -> None:
    """See that the outputs stay in [0, 1] for the most extreme states that there are.

    That no sum overflows is proved when the graph is written; this sees that the operators keep
    to it.

    Raises
    ------
    AeroactError
        If an output is not a fraction.
    """
    largest = np.finfo(np.float32).max
    tiny = np.finfo(np.float32).smallest_subnormal
    values = np.array([-largest, -1.0, -tiny, 0.0, tiny, 1.0, largest], np.float32)
    rng = np.random.default_rng(0)
    shape = (4096, schema.N_INPUTS)
    x = np.concatenate([np.tile(values[:, None], schema.N_INPUTS), rng.choice(values, shape)])
    fn = emulator.predict(x)
    # Not "any outside": a NaN must not pass.
    if not ((fn >= 0) & (fn <= 1)).all():
        raise AeroactError("gives more than fractions for extreme states")


def verify_sums(folder: Path) -> None:
    """Compare every file of a bundle with its `SHA256SUMS`.

    Raises
    ------
    AeroactError
        Naming the files that are missing or changed.
    """
    listed = read_sums(folder)
    wrong = sorted({ONNX_FILE, CARD_FILE} - listed.keys()) + changed(folder, listed)
    if wrong:
        raise AeroactError(f"{folder}: missing or changed since its release: {', '.join(wrong)}")


def read_sums(folder: Path) -> dict[str, str]:
    """Return the sum of each file of a bundle by name, as its `SHA256SUMS` has them.

    Raises
    ------
    AeroactError
        If there is no such file, or it names one outside of the folder.
    """
    sums = folder / SUMS_FILE
    if not sums.is_file():
        raise AeroactError(f"{folder}: not an emulator bundle ({SUMS_FILE} is missing)")
    listed = {}
    for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
        expected, _, name = line.partition("  ")
        if name != Path(name).name:
            raise AeroactError(f"{sums}: names {name}, which is no file of this folder")
        listed[name] = expected
    return listed


def changed(folder: Path, sums: Mapping[str, str]) -> list[str]:
    """Return the files that are missing in a folder, or have other sums than these."""
    return [
        name
        for name, expected in sums.items()
        if not (folder / name).is_file() or sha256(folder / name) != expected
    ]


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
