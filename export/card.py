"""The model card: what an emulator is for, how far it errs and where, what it costs."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from aeroact import schema
from aeroact.export import bench
from aeroact.export import layers as network
from aeroact.export.layers import Layers
from aeroact.export.native import BACKENDS, FortranReport
from aeroact.normalization import Normalization
from aeroact.regions import Breakdown, records
from aeroact.strict_json import plain
from aeroact.timing import S4_BATCH, S4_REPETITIONS, S4_SAMPLES, Timing

if TYPE_CHECKING:
    from aeroact.export.parity import Parity

INTENDED_USE = (
    "The activated number fraction of the four MAM4 modes at one updraft speed, inside a climate "
    "model in place of a parameterization such as ARG2000, or in Python.",
    "Where the host has a distribution of updrafts, it is called at several of them and "
    "averaged there.",
)

NOT_INTENDED_USE = (
    "States outside the training bounds below: the fractions are still within [0, 1], and may be "
    "wrong. Ask `in_domain`, and fall back to the parameterization that the host has.",
    "Aerosol modes with other widths than those of MAM4: geometric standard deviations of "
    + ", ".join(f"{sigma:g}" for sigma in schema.SIGMA_G)
    + " are built into the training data.",
    "Ice nucleation, and droplets that are there already: it knows activation in a rising, "
    "cloud-free parcel.",
)

LIMITS = (
    "Errors here are against the parcel model that made the training data, with its physics; "
    "that model's own distance from the atmosphere is not in them.",
    "The bounds are those of each input alone. Within them there are combinations that no "
    "training state came near, and `in_domain` does not flag those.",
    "States at which the parcel model found no peak of supersaturation are not in the data.",
    "Nothing forces a fraction to grow with the updraft; the errors by region say how far to "
    "trust it.",
    "Times hold for the machine named here. Multiples of ARG2000's time carry over better, and "
    "neither counts what a host model adds around the call.",
)


def make(
    *,
    name: str,
    layers: Layers,
    normalization: Normalization,
    pick: tuple[str, str],
    holdout: Mapping[str, Any],
    errors: Breakdown,
    arg2000: Breakdown,
    costs: bench.Report,
    timed_as: str,
    batch: int,
    parity: "Parity",
    weights_difference: float,
    bound: float,
    provenance: Mapping[str, Any],
    guard: bool = False,
    optimized: Sequence[Mapping[str, Any]] | None = None,
    fortran: FortranReport | None = None,
) -> dict[str, Any]:
    """Build a model card.

    Parameters
    ----------
    name : str
        Of the bundle.
    layers : Layers
        The network that is exported.
    normalization : Normalization
        What stands in front of it, with the training bounds.
    pick : tuple of str
        The rule that chose it, and the rule in words.
    holdout : mapping
        ``rows``, ``mse``, ``r2``, ``mse_by_mode``, ``r2_by_mode``: the numbers that the ONNX
        file's metadata has too.
    errors, arg2000 : Breakdown
        Of the emulator and of ARG2000 on all holdout rows.
    costs : bench.Report
        In which the emulator is called `timed_as`.
    batch : int
        States a call in the one number for its cost; one of those in `costs`.
    parity : Parity
        With Keras.
    weights_difference : float
        Largest difference between the ONNX file and ``weights.nc`` in fn.
    bound : float
        The largest difference that `aeroact-export verify` accepts between the two.
    provenance : mapping
        ``trial``, ``project``, ``data`` (``rows``, ``sha256``, ``physics``), ``versions``.
    guard : bool
        Whether the ONNX file has the output ``in_domain``.
    optimized : sequence of mapping, optional
        What was tried to make it smaller or faster, as `optimize.records` has it.
    fortran : FortranReport, optional
        Times in compiled Fortran, if asked for; the emulator is called `timed_as` there too,
        and `batch` is one of the batches.

    Returns
    -------
    dict
        For strict JSON: what is not a number is None. `bundle.write` adds ``files``.
    """
    hidden = network.widths(layers)
    columns = zip(
        schema.COLUMNS,
        schema.COLUMN_UNITS,
        normalization.low.tolist(),
        normalization.high.tolist(),
        strict=True,
    )
    card = {
        "name": name,
        "schema_version": schema.SCHEMA_VERSION,
        "generator": f"aeroact {version('aeroact')}",
        "licence": "BSD-3-Clause",
        "intended_use": INTENDED_USE,
        "not_intended_use": NOT_INTENDED_USE,
        "limits": LIMITS,
        "network": {
            "layers": len(hidden),
            "nodes": hidden,
            "activation": network.hidden_activation(layers),
            "params": network.params(layers),
            "mflop": network.mflop(hidden),
            "guard": guard,
        },
        "pick": {"rule": pick[0], "meaning": pick[1]},
        "columns": [
            {"name": column, "units": units, "low": low, "high": high}
            for column, units, low, high in columns
        ],
        "outputs": schema.OUTPUTS,
        "holdout": holdout,
        "arg2000": totals(arg2000),
        "size_of_errors": {"emulator": _sizes(errors), "arg2000": _sizes(arg2000)},
        "regions": records(errors, arg2000),
        "cost": {
            **_cost(costs, timed_as, batch, network.mflop(hidden)),
            "fortran": fortran and _fortran(fortran, timed_as, batch),
        },
        "optimized": optimized,
        "parity": {
            "keras": parity.largest,
            "keras_p999": parity.p999,
            "keras_at_corners": parity.at_corners,
            "states": parity.holdout_states,
            "drawn_states": parity.drawn_states,
            "weights": weights_difference,
            "bound": bound,
        },
        "provenance": provenance,
    }
    made: dict[str, Any] = plain(card)
    return made


def totals(errors: Breakdown) -> dict[str, Any]:
    """Return the errors on all rows; R2 of rows that do not vary is NaN."""
    total = errors.total.errors
    return {
        "rows": total.rows,
        "mse": total.mse,
        "r2": total.r2,
        "mse_by_mode": total.mse_by_mode,
        "r2_by_mode": total.r2_by_mode,
    }


def _sizes(errors: Breakdown) -> dict[str, float]:
    return {
        "bias": errors.total.bias,
        "p99": errors.sizes.percentile(99),
        "p999": errors.sizes.percentile(99.9),
        "largest": errors.sizes.largest,
    }


def _cost(costs: bench.Report, name: str, batch: int, mflop: float) -> dict[str, Any]:
    timing = costs.timings[name][batch]
    s4 = costs.figure_s4.get(name)
    return {
        "us_per_sample": timing.median,
        "batch": batch,
        "arg2000_us_per_sample": costs.arg2000.median,
        "arg2000_us_per_sample_quartiles": [costs.arg2000.lower, costs.arg2000.upper],
        "multiple_of_arg2000": costs.multiple(name, batch),
        "batches": _by_batch(costs.timings[name], costs.arg2000),
        "figure_s4": s4
        and {
            "samples": S4_SAMPLES,
            "batch": S4_BATCH,
            "repetitions": S4_REPETITIONS,
            "ms": s4.mean,
            "ms_std": s4.std,
        },
        # 1 MFLOP a microsecond is 1,000 GFLOP a second.
        "gflops": 1e3 * mflop / timing.median,
        "core_gflops": costs.gflops,
        "machine": costs.machine.processor,
        "clock_mhz": costs.machine.clock_mhz,
        "cores": costs.machine.cores,
        "onnxruntime": costs.machine.versions["onnxruntime"],
        "versions": costs.machine.versions,
    }


def _by_batch(timings: Mapping[int, Timing], arg2000: Timing) -> list[dict[str, Any]]:
    return [
        {
            "batch": batch,
            "us_per_sample": timed.median,
            "quartiles": [timed.lower, timed.upper],
            "multiple_of_arg2000": timed.median / arg2000.median,
        }
        for batch, timed in sorted(timings.items())
    ]


def _fortran(report: FortranReport, name: str, batch: int) -> dict[str, Any]:
    of_backends = report.timings[name]
    backend = report.fastest(name, batch)
    return {
        "compiler": report.compiler,
        "flags": report.flags,
        "library": report.library,
        "arg2000_us_per_sample": report.arg2000.median,
        "arg2000_us_per_sample_quartiles": [report.arg2000.lower, report.arg2000.upper],
        **{
            each: _by_batch(of_backends[each], report.arg2000) if each in of_backends else None
            for each in BACKENDS
        },
        "fastest": {
            "backend": backend,
            "batch": batch,
            "us_per_sample": of_backends[backend][batch].median,
            "multiple_of_arg2000": report.multiple(name, backend, batch),
        },
    }


_NUMBER = (int, float)

_NEEDED: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "schema_version": str,
    "generator": str,
    "licence": str,
    "intended_use": list,
    "not_intended_use": list,
    "limits": list,
    "network.nodes": list,
    "network.params": int,
    "network.mflop": _NUMBER,
    "network.guard": bool,
    "pick.rule": str,
    "columns": list,
    "outputs": list,
    "holdout.rows": int,
    "holdout.mse": _NUMBER,
    "holdout.r2": _NUMBER,
    "holdout.mse_by_mode": list,
    "arg2000.mse": _NUMBER,
    "regions": list,
    "cost.us_per_sample": _NUMBER,
    "cost.multiple_of_arg2000": _NUMBER,
    "parity.keras": _NUMBER,
    "parity.weights": _NUMBER,
    "parity.bound": _NUMBER,
    "provenance.trial": str,
    "provenance.project": dict,
    "provenance.data.sha256": str,
    "files": dict,
}


_NEEDED_FORTRAN: dict[str, type | tuple[type, ...]] = {
    "cost.fortran.compiler": str,
    "cost.fortran.flags": str,
    "cost.fortran.arg2000_us_per_sample": _NUMBER,
    "cost.fortran.fastest.backend": str,
    "cost.fortran.fastest.batch": int,
    "cost.fortran.fastest.us_per_sample": _NUMBER,
    "cost.fortran.fastest.multiple_of_arg2000": _NUMBER,
}
"""Of a card that states times in Fortran."""


def faults(card: Any) -> list[str]:
    """Say what a card that was read from a file lacks, by the dotted names of its keys."""
    if not isinstance(card, dict):
        return [f"holds {type(card).__name__}, not an object"]
    found = []
    cost = card.get("cost")
    in_fortran = isinstance(cost, dict) and cost.get("fortran") is not None
    for path, kind in (_NEEDED | (_NEEDED_FORTRAN if in_fortran else {})).items():
        value: Any = card
        for key in path.split("."):
            if not isinstance(value, dict) or key not in value:
                found.append(f"{path} is missing")
                break
            value = value[key]
        else:
            # JSON's true is no number, though Python's is.
            wrong_truth = isinstance(value, bool) and kind is not bool
            if wrong_truth or not isinstance(value, kind):
                found.append(f"{path} is {value!r:.40}")
    if found:
        return found
    if not all(isinstance(mse, _NUMBER) for mse in card["holdout"]["mse_by_mode"]):
        found.append("holdout.mse_by_mode holds what is no number")
    for i, column in enumerate(card["columns"]):
        keys = column.keys() if isinstance(column, dict) else set()
        if lacking := {"name", "units", "low", "high"} - keys:
            found.append(f"columns[{i}] lacks {', '.join(sorted(lacking))}")
    return found
