"""A small emulator with all that a bundle of it needs, without a search and without Keras."""

from pathlib import Path
from typing import Any

import numpy as np

from aeroact import dataset, normalization
from aeroact.emulator import Emulator
from aeroact.export import bundle, card, weights
from aeroact.export.bench import Machine, Report
from aeroact.export.convert import to_onnx
from aeroact.export.layers import Layer, Layers, widths
from aeroact.export.parity import MAX_DIFFERENCE, Parity
from aeroact.files import sha256
from aeroact.hpo.config import project_of
from aeroact.hpo.run import split_of
from aeroact.references import predict_arg2000
from aeroact.regions import Breakdown
from aeroact.states import sample_rows
from aeroact.timing import Repeated, Timing

PROJECT = {"seed": 3, "holdout": 0.5, "trials": 5, "p_subset": 0.5, "retrain": 2}

STATES = sample_rows(0, 4_000, seed=11).astype(np.float32)
STATISTICS = normalization.fit([STATES[:1000]])


def layers(seed: int = 0, activation: str = "relu") -> Layers:
    """Random weights, of such a size that fractions spread over [0, 1]."""
    random = np.random.default_rng(seed)
    size = 0.75 if activation == "relu2" else 1.5  # squares of large sums would leave few digits
    shapes = [(16, 8), (8, 12), (12, 4)]
    return tuple(
        Layer(
            random.normal(0, size / np.sqrt(a), (a, b)).astype(np.float32),
            random.normal(0, 0.1, b).astype(np.float32),
            "sigmoid" if b == 4 else activation,
        )
        for a, b in shapes
    )


def write_data(path: Path) -> None:
    """Labels that the emulator nearly knows; a fifth of the rows marked as having none."""
    fn = Emulator(to_onnx(layers(), STATISTICS, {})).predict(STATES)
    noise = np.random.default_rng(1).normal(0, 0.02, fn.shape)
    status = (np.arange(len(fn)) % 5 == 4).astype(np.int8)
    ds = dataset.from_arrays(STATES, np.clip(fn + noise, 0, 1).astype(np.float32), status=status)
    dataset.write(ds, path, title="Data of a test", command="test")


def report(name: str = "7") -> Report:
    """Times that nobody took."""
    timings = {b: Timing(8.0 / b + 1, 8.0 / b + 0.9, 8.0 / b + 1.2) for b in (1, 16, 128, 1024)}
    return Report(
        {name: timings},
        {name: Repeated(100.0, 99.0, 101.0, 100.5, 0.8)},
        Timing(0.5, 0.45, 0.55),
        80.0,
        Machine("A processor", 2500.0, 2, {"python": "3.11", "onnxruntime": "1.20"}),
    )


def errors(emulator: Emulator, data: Path) -> tuple[Breakdown, Breakdown]:
    """Errors of the emulator and of ARG2000 on the holdout."""
    found = Breakdown(), Breakdown()
    with dataset.open_dataset(data) as ds:
        rows = split_of(dataset.check(ds), project_of(PROJECT)).holdout
        for x, fn in dataset.stream(ds, rows):
            found[0].add(x, fn, emulator.predict(x))
            found[1].add(x, fn, predict_arg2000(x))
    return found


def make_card(data: Path, **changes: Any) -> dict[str, Any]:
    """The card of the small emulator."""
    ours, arg2000 = errors(Emulator(to_onnx(layers(), STATISTICS, {})), data)
    total = ours.total.errors
    arguments: dict[str, Any] = {
        "name": "small",
        "layers": layers(),
        "normalization": STATISTICS,
        "pick": ("lightest", "the fewest parameters"),
        "holdout": {
            "rows": total.rows,
            "mse": total.mse,
            "r2": total.r2,
            "mse_by_mode": total.mse_by_mode.tolist(),
            "r2_by_mode": total.r2_by_mode.tolist(),
        },
        "errors": ours,
        "arg2000": arg2000,
        "costs": report(),
        "timed_as": "7",
        "batch": 1024,
        "parity": Parity(1e-6, 5e-7, 2e-6, 3000, 97000),
        "weights_difference": 1e-6,
        "bound": MAX_DIFFERENCE,
        "provenance": {
            "trial": "7",
            "project": PROJECT,
            "data": {"rows": len(STATES), "sha256": sha256(data), "physics": "default"},
            "versions": {"aeroact": "0.1.0", "keras": "3"},
        },
    }
    return card.make(**{**arguments, **changes})


def onnx_of(card: dict[str, Any], *, seed: int = 0, **changes: Any) -> bytes:
    """The emulator, with the card's numbers in its metadata."""
    metadata = {
        "trial": card["provenance"]["trial"],
        "nodes": list(widths(layers(seed))),
        "holdout_mse": card["holdout"]["mse"],
        "holdout_r2": card["holdout"]["r2"],
        "data_sha256": card["provenance"]["data"]["sha256"],
        **changes,
    }
    return to_onnx(layers(seed), STATISTICS, metadata, guard=card["network"]["guard"])


def write_bundle(folder: Path, data: Path, **changes: Any) -> None:
    """A whole bundle of the small emulator."""
    made = make_card(data, **changes)
    bundle.write(
        folder,
        onnx_of(made),
        made,
        {bundle.WEIGHTS_FILE: lambda path: weights.write(path, layers(), STATISTICS)},
    )
