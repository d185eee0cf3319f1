"""Make what the tests of ARG2000 and of E3SM's activation read; MKS units, one point a line.

Two of the three sources may be missing, and so may then be their files: aeroact in this Python,
and E3SM's own numbers, which lie beside a developer's checkout.
"""

import csv
import json
import math
import sys
from pathlib import Path
from statistics import NormalDist
from typing import Any

import make_models
import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

E3SM = Path(__file__).resolve().parents[2].parent / "shared" / "e3sm"
MODES = ("accum", "aitken", "coarse", "pcarbon")
LN_SIGMA = np.log([1.8, 1.6, 1.8, 1.6])
DRY_AIR = 287.0423114  # J kg-1 K-1
N_POINTS = 4000
N_EMULATED = 1000
# What the emulator of the tests says it was trained on, K, hPa, 1, cm s-1, cm-3, um, 1.
LOW = [240, 500, 0.5, 10, *[1, 10, 1e-4, 0.1], *[0.02, 0.005, 0.3, 0.01], *[0.1, 0.1, 0.1, 1e-10]]
HIGH = [310, 1020, 1.05, 500, *[5e3, 2e4, 20, 4e3], *[0.2, 0.05, 2, 0.1], *[1.1, 1.1, 1.2, 0.1]]


def write(path: Path, *columns: Any) -> None:
    """Write columns side by side, with all the digits they have.

    Parameters
    ----------
    path : Path
        The file.
    *columns : array_like, shape (n,) or (n, k)
        Its columns.
    """
    np.savetxt(path, np.column_stack(columns), fmt="%.17e")


def volume(number: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Volume of log-normal modes.

    Parameters
    ----------
    number : ndarray, shape (n, 4)
        m-3.
    radius : ndarray, shape (n, 4)
        Number-median radius, m.

    Returns
    -------
    ndarray, shape (n, 4)
        m3 m-3.
    """
    return number * 4.0 / 3.0 * math.pi * radius**3 * np.exp(4.5 * LN_SIGMA**2)


def write_arg2000(folder: Path) -> None:
    """Write random points, far wider than the atmosphere's, and what Python's ARG2000 gives.

    Parameters
    ----------
    folder : Path
        Where to.
    """
    try:
        from aeroact.physics.arg2000 import arg2000
    except ImportError as error:
        print(f"arg2000.txt is left out: {error}")
        return
    rng = np.random.default_rng(6)
    n = N_POINTS
    tair, pressure = rng.uniform(185.0, 315.0, n), rng.uniform(200.0, 1090.0, n)
    wbar = 10.0 ** rng.uniform(-3.0, 1.5, n)
    number = 10.0 ** rng.uniform(0.0, 12.0, (n, 4))
    number[rng.random((n, 4)) < 0.1] = 0.0
    radius = 10.0 ** rng.uniform(-9.5, -5.0, (n, 4))
    kappa = 10.0 ** rng.uniform(-13.0, 0.3, (n, 4))
    expected = arg2000(tair, pressure, wbar * 100.0, number * 1e-6, radius * 1e6, kappa)
    assert expected.ok.all()
    assert np.ptp(expected.fn, axis=0).min() > 0.9
    density = pressure * 100.0 / (DRY_AIR * tair)
    write(
        folder / "arg2000.txt",
        *(wbar, tair, density, number, volume(number, radius), kappa),
        *(expected.fn, expected.smax),
    )


def write_e3sm(folder: Path) -> None:
    """Write E3SM's own calls and answers.

    Parameters
    ----------
    folder : Path
        Where to.
    """
    if not E3SM.is_dir():
        print(f"e3sm_*.txt are left out: there is no {E3SM}")
        return
    cases = json.loads((E3SM / "e3sm_arg_cases.json").read_text())
    inputs = [case["inputs"] for case in cases["activate_modal"]]
    outputs = [case["e3sm_outputs"] for case in cases["activate_modal"]]
    write(
        folder / "e3sm_activate_modal.txt",
        *(
            [row[name] for row in inputs]
            for name in ("w_ms", "tair_K", "rhoair_kgm3", "na_m3", "volume_m3m3", "hygro")
        ),
        *(
            [row[name] for row in outputs]
            for name in ("fn", "fm", "fluxn", "fluxm", "flux_fullact")
        ),
    )
    write(
        folder / "e3sm_maxsat.txt",
        [case["zeta"][0] for case in cases["maxsat"]],
        *([case[name] for case in cases["maxsat"]] for name in ("eta", "smc", "smax")),
    )
    with (E3SM / "e3sm_factnum_cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ["w_ms", "tair_K", "rhoair_kgm3"]
    names += [
        f"{name}_{mode}" for name in ("na_m3", "volume_m3m3", "hygro", "factnum") for mode in MODES
    ]
    write(folder / "e3sm_factnum.txt", *([float(row[name]) for row in rows] for name in names))


def make_emulator(x: np.ndarray, mean: float, std: float) -> onnx.ModelProto:
    """Make an emulator whose last layer has a given mean and spread, ahead of the sigmoid.

    Parameters
    ----------
    x : ndarray of float32, shape (n, 16)
        The states for which it is to have them.
    mean, std : float
        Mean and standard deviation of all four outputs.

    Returns
    -------
    onnx.ModelProto
        The emulator.
    """
    bounds = {"low": [float(value) for value in LOW], "high": [float(value) for value in HIGH]}
    metadata = make_models.METADATA | {"training_bounds": json.dumps(bounds)}
    model = make_models.make_model(seed=6, metadata=metadata)
    fn = predict(model, x).astype(np.float64)
    logits = np.log(fn / (1.0 - fn))
    factor = std / logits.std(axis=0)
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if tensor.name == "w2":
            value = value * factor
        elif tensor.name == "b2":
            value = (value - logits.mean(axis=0)) * factor + mean
        else:
            continue
        tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float32), tensor.name))
    return model


def predict(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """Predict in ONNX Runtime.

    Parameters
    ----------
    model : onnx.ModelProto
        An emulator.
    x : ndarray of float32, shape (n, 16)
        States.

    Returns
    -------
    ndarray of float32, shape (n, 4)
        Activated fractions.
    """
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.asarray(session.run(["fn"], {"state": x})[0])


def write_emulated(folder: Path) -> None:
    """Write an emulator, points within its bounds, and what it makes of them; and a broken one.

    Parameters
    ----------
    folder : Path
        Where to.
    """
    rng = np.random.default_rng(7)
    low, high = np.array(LOW) * 1.001, np.array(HIGH) * 0.999
    shares = rng.random((N_EMULATED, 16))
    x = np.where(
        np.arange(16) < 3, low + shares * (high - low), low * (high / low) ** shares
    ).astype(np.float32)

    model = make_emulator(x, mean=-1.5, std=2.0)
    (folder / "mam4.onnx").write_bytes(model.SerializeToString())
    fn = predict(model, x)
    broken = make_emulator(x, mean=0.5, std=0.3)
    broken.graph.node[-1].op_type = "Sqrt"  # NaN for some points, and more than 1 for others
    (folder / "mam4_broken.onnx").write_bytes(broken.SerializeToString())

    state = x.astype(np.float64)
    number, radius = state[:, 4:8] * 1e6, state[:, 8:12] * 1e-6
    normal = NormalDist()
    fm = np.array(
        [
            [normal.cdf(normal.inv_cdf(f) + 3.0 * s) for f, s in zip(row, LN_SIGMA, strict=True)]
            for row in fn.astype(np.float64)
        ]
    )
    make_models.require_telling("mam4", np.column_stack([fn, fm]))
    write(
        folder / "mam4.txt",
        *(state[:, 3] * 1e-2, state[:, 0], state[:, 1] * 100.0 / (DRY_AIR * state[:, 0])),
        *(state[:, 2], number, volume(number, radius), state[:, 12:16], fn, fm),
    )


def main(folder: Path) -> None:
    """Write everything into one folder.

    Parameters
    ----------
    folder : Path
        Where to; made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_arg2000(folder)
    write_e3sm(folder)
    write_emulated(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
