"""Smaller and faster forms of an emulator: all are tried, few are worth having.

First the network: units that provably do nothing, units that were silent on the training
states, widths that fit the processor's registers. Then the graph: layout, fusion, 8-bit
integers. A form is kept if its MSE on the holdout grows by less than a bound and if it is
faster, or smaller and not slower. All are timed in one run, in turn. Other work on the
machine makes single rounds slow, never fast: so of the ratios of the medians and of the lower
quartiles the worse one counts, and only if it is more than 2 %.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeroact.console import Progress
from aeroact.emulator import Emulator, require_fractions
from aeroact.errors import AeroactError
from aeroact.export import bench, parity, rewrites
from aeroact.export.convert import to_onnx
from aeroact.export.layers import Layer, Layers, params, widths
from aeroact.export.prune_units import prune, without_silent
from aeroact.metrics import Errors
from aeroact.normalization import Normalization
from aeroact.timing import Timing

MAX_GROWTH = 0.01
"""Fraction by which the MSE may grow, unless the user says otherwise."""

PLAIN = "plain"

STEPS = 9
"""Units of progress that `try_all` reports: the forms, the plain one among them."""

REGISTER = 16
"""Float32 numbers in a vector register of AVX-512, the widest there is."""

_SCATTER = 0.02
"""Relative difference in time that does not count."""

_BLOCK = 16_384
_CORNER_STEP = 7  # every seventh corner has each column at both ends


@dataclass(frozen=True)
class Variant:
    """One form of an emulator, and what came of it.

    Attributes
    ----------
    name : str
        What it is called in reports.
    how : str
        What was done.
    layers : Layers
        The network that it computes, or that it was quantized from.
    onnx : bytes or None
        The emulator; None where there is nothing new to run.
    mse : float or None
        On the holdout.
    growth : float or None
        Of the MSE over the plain form's, as a fraction of it.
    difference : float or None
        Largest difference from the plain form on the holdout, in activated fraction.
    at_corners : float or None
        The same at corners of the training bounds, where hardly any state ever is.
    timing : Timing or None
        Microseconds a sample, in the same run as the others.
    kept : bool
        Whether it is worth having.
    reason : str
        Why, or why not.
    """

    name: str
    how: str
    layers: Layers
    onnx: bytes | None = None
    mse: float | None = None
    growth: float | None = None
    difference: float | None = None
    at_corners: float | None = None
    timing: Timing | None = None
    kept: bool = False
    reason: str = ""

    @property
    def bytes(self) -> int | None:
        """Size of the ONNX file."""
        return None if self.onnx is None else len(self.onnx)

    @property
    def params(self) -> int:
        """Number of weights."""
        return params(self.layers)


def try_all(
    layers: Layers,
    normalization: Normalization,
    metadata: dict[str, Any],
    x: NDArray[np.float32],
    fn: NDArray[np.float32],
    calibration: NDArray[np.float32],
    *,
    guard: bool = False,
    batch: int = 1024,
    max_growth: float = MAX_GROWTH,
    progress: Progress | None = None,
) -> list[Variant]:
    """Try every form of an emulator.

    Parameters
    ----------
    layers, normalization, metadata, guard
        The emulator, as for `convert.to_onnx`.
    x : ndarray, shape (n, 16)
        Holdout states in schema units, on which the MSE is measured.
    fn : ndarray, shape (n, 4)
        Their simulated fractions.
    calibration : ndarray, shape (m, 16)
        Training states: none of the holdout, or the MSE would test nothing.
    batch : int
        States a call in the timings.
    max_growth : float
        Fraction by which the MSE may grow.
    progress : Progress, optional
        Is told the finished forms, `STEPS` in all; the last one when the times are there.

    Returns
    -------
    list of Variant
        The plain form first.

    Raises
    ------
    AeroactError
        If a bound or an array makes no sense, or the network is not sound.
    """
    if not 0 <= max_growth < np.inf:
        raise AeroactError(f"--max-growth {max_growth:g}: needs a fraction of 0 or more")
    if not (len(x) and len(calibration)):
        raise AeroactError("no holdout or no training states to try smaller and faster forms on")
    attempt = _Attempt(normalization, metadata, x, fn, guard, max_growth, progress)

    plain = attempt.network(PLAIN, "as converted", layers)
    exact, removed = prune(layers, normalization)
    pruned = attempt.network("pruned", f"provably idle units taken out: {removed}", exact)
    silent = attempt.network("silent", *_without_silent(exact, normalization, calibration))
    # Later forms start from the smallest network that is still good enough.
    smallest = silent if attempt.good(silent) else pruned if attempt.good(pruned) else plain
    attempt.network(
        "padded",
        f"widths of the {smallest.name} network raised to multiples of {REGISTER} with zeros",
        padded(smallest.layers, REGISTER),
    )
    base = smallest.onnx
    assert base is not None  # `plain` has one, and only what has one is good
    forms: list[tuple[str, str, Callable[[], bytes]]] = [
        ("transposed", "kernels stored the other way round", lambda: rewrites.transposed(base)),
        ("fused", "saved as ONNX Runtime optimizes it", lambda: rewrites.fused(base)),
        (
            "int8-dynamic",
            _with_int8("all kernels but the first in 8 bits"),
            lambda: rewrites.int8_dynamic(base),
        ),
        (
            "int8-static",
            _with_int8("all but the first layer in 8 bits, activations too"),
            lambda: rewrites.int8_static(base, calibration),
        ),
    ]
    for name, how, make in forms:
        attempt.graph(name, f"{how}, of the {smallest.name} network", smallest.layers, make)
    half = Variant("half", "bf16 or fp16", smallest.layers, reason=rewrites.why_no_half_precision())
    timed = _timed([*attempt.variants, half], x, batch)
    if progress:
        progress(STEPS)
    return [_judged(variant, timed[0], max_growth) for variant in timed]


def kept(variants: Sequence[Variant]) -> Variant:
    """Return the best of the kept forms; the plain one where none is worth having.

    A later form, which changes more, takes the place of an earlier one only if it is better
    than that one, too.
    """
    best = variants[0]
    for variant in variants[1:]:
        if variant.kept and _better(variant, best):
            best = variant
    return best


def records(variants: Sequence[Variant]) -> list[dict[str, Any]]:
    """Return the forms as what JSON can hold, with their times relative to the plain form's."""
    taken = kept(variants)
    return [_record(v, variants[0], "taken" if v is taken else _VERDICT[v.kept]) for v in variants]


_VERDICT = {True: "good enough", False: "no"}


def _record(variant: Variant, plain: Variant, verdict: str) -> dict[str, Any]:
    timing = None if variant.timing is None else asdict(variant.timing)
    return {
        "name": variant.name,
        "verdict": verdict,
        "how": variant.how,
        "nodes": list(widths(variant.layers)),
        "params": variant.params,
        "bytes": variant.bytes,
        "mse": variant.mse,
        "mse_growth": variant.growth,
        "largest_difference": variant.difference,
        "difference_at_corners": variant.at_corners,
        "us_per_sample": timing,
        "relative_time": None if timing is None else _ratios(variant, plain)[0],
        "kept": variant.kept,
        "reason": variant.reason,
    }


def padded(layers: Layers, multiple: int) -> Layers:
    """Add hidden units of zeros until every hidden width is a multiple of a number."""
    wide, extra_in = [], 0
    for layer in layers:
        last = layer is layers[-1]
        extra_out = 0 if last else -layer.bias.size % multiple
        kernel = np.pad(layer.kernel, ((0, extra_in), (0, extra_out)))
        wide.append(Layer(kernel, np.pad(layer.bias, (0, extra_out)), layer.activation))
        extra_in = extra_out
    return tuple(wide)


class _Attempt:
    """The forms tried so far, each measured against the holdout."""

    def __init__(
        self,
        normalization: Normalization,
        metadata: dict[str, Any],
        x: NDArray[np.float32],
        fn: NDArray[np.float32],
        guard: bool,
        max_growth: float,
        progress: Progress | None,
    ) -> None:
        self.variants: list[Variant] = []
        self._normalization, self._metadata, self._guard = normalization, metadata, guard
        self._x, self._fn, self._max_growth = x, fn, max_growth
        self._corners = parity.corners(normalization)[::_CORNER_STEP]
        self._progress = progress

    def network(self, name: str, how: str, layers: Layers) -> Variant:
        """Try another network."""
        if any(widths(layers) == widths(v.layers) for v in self.variants):
            return self._take(Variant(name, how, layers, reason="nothing changes"))
        return self.graph(
            name,
            how,
            layers,
            lambda: to_onnx(layers, self._normalization, self._metadata, guard=self._guard),
        )

    def graph(self, name: str, how: str, layers: Layers, make: Callable[[], bytes]) -> Variant:
        """Try another graph."""
        try:
            onnx = make()
            fn, at_corners = self._predict(onnx)
        except AeroactError as error:
            if not self.variants:
                raise  # not even the plain form is sound
            return self._take(Variant(name, how, layers, reason=f"not usable: {error}"))
        errors = Errors()
        errors.add(self._fn, fn)
        if not self.variants:
            self._plain, self._plain_mse = (fn, at_corners), errors.mse
        difference, corner_difference = (
            float(np.abs(values - plain).max())
            for values, plain in zip((fn, at_corners), self._plain, strict=True)
        )
        return self._take(
            Variant(
                name,
                how,
                layers,
                onnx,
                mse=errors.mse,
                growth=_growth(errors.mse, self._plain_mse),
                difference=difference,
                at_corners=corner_difference,
            )
        )

    def good(self, variant: Variant) -> bool:
        """Say whether a form exists and its MSE has not grown too much."""
        return variant.growth is not None and variant.growth <= self._max_growth

    def _take(self, variant: Variant) -> Variant:
        self.variants.append(variant)
        if self._progress:
            self._progress(len(self.variants), variant.name)
        return variant

    def _predict(self, onnx: bytes) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predict the holdout and the corners with an emulator that is sound everywhere."""
        emulator = Emulator(onnx)
        _require_valid(onnx)
        require_fractions(emulator)
        blocks = range(0, len(self._x), _BLOCK)
        fn = np.concatenate([emulator.predict(self._x[i : i + _BLOCK]) for i in blocks])
        return fn, emulator.predict(self._corners)


def _without_silent(
    layers: Layers, normalization: Normalization, calibration: NDArray[np.float32]
) -> tuple[str, Layers]:
    smaller, count = without_silent(layers, normalization.apply(calibration))
    smaller, _ = prune(smaller, normalization)
    return f"{count} more units taken out that no training state activates (not proved)", smaller


def _with_int8(what: str) -> str:
    return what if rewrites.fast_int8() else f"{what} (no 8-bit dot product in this processor)"


def _require_valid(content: bytes) -> None:
    import onnx

    try:
        onnx.checker.check_model(onnx.load_from_string(content))
    except onnx.checker.ValidationError as error:
        line = str(error).splitlines()[0]
        raise AeroactError(f"not a valid ONNX model ({line})") from error


def _timed(variants: Sequence[Variant], x: NDArray[np.float32], batch: int) -> list[Variant]:
    emulators = {v.name: v.onnx for v in variants if v.onnx is not None}
    report = bench.measure(emulators, x, (batch,), figure_s4=False)
    timings = {name: by_batch[batch] for name, by_batch in report.timings.items()}
    return [replace(v, timing=timings.get(v.name)) for v in variants]


def _judged(variant: Variant, plain: Variant, max_growth: float) -> Variant:
    """Say whether a form is kept, and why."""
    if variant.timing is None or variant.growth is None or plain.timing is None:
        return variant  # it has its reason already
    if variant is plain:
        return replace(variant, kept=True, reason="what the others are compared with")
    reason = f"MSE {_change(variant.growth, 'grows', 'falls')}"
    if not variant.growth <= max_growth:
        return replace(variant, reason=f"{reason}, more than {max_growth:.2%}")
    median, lower = (_change(r - 1, "grows", "falls") for r in _ratios(variant, plain))
    reason += f"; time {median} in the median and {lower} in the lower quartile"
    reason += f"; {len(variant.onnx or b'') / len(plain.onnx or b'-'):.0%} of the size"
    if variant.name == "fused":
        # ONNX Runtime does the same each time it loads the plain form.
        return replace(variant, reason=f"{reason}; bound to one version of ONNX Runtime")
    return replace(variant, kept=_better(variant, plain), reason=reason)


def _growth(mse: float, plain: float) -> float:
    if mse == plain:
        return 0.0
    return mse / plain - 1 if plain else float("inf")


def _change(fraction: float, up: str, down: str) -> str:
    if abs(fraction) < 5e-7:
        return "stays the same"
    digits = 2 if abs(fraction) >= 5e-5 else 4
    return f"{up if fraction > 0 else down} by {abs(fraction):.{digits}%}"


def _better(variant: Variant, other: Variant) -> bool:
    """Say whether a form is faster than another, or smaller and not slower."""
    ratio = max(_ratios(variant, other))
    smaller = len(variant.onnx or b"") < len(other.onnx or b"")
    return ratio < 1 - _SCATTER or (smaller and ratio <= 1 + _SCATTER)


def _ratios(variant: Variant, other: Variant) -> tuple[float, float]:
    """Return a form's time over another's, by the medians and by the lower quartiles."""
    a, b = _timing(variant), _timing(other)
    return a.median / b.median, a.lower / b.lower


def _timing(variant: Variant) -> Timing:
    if variant.timing is None:
        raise ValueError(f"the form {variant.name} was not timed")
    return variant.timing
