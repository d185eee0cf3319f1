"""Run the example of E3SM's chunks as a user would, and compare what it prints with Python."""

import re
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
import onnxruntime
from check_example import printed, require_refusals, run
from make_e3sm_data import DRY_AIR, HIGH, LN_SIGMA, LOW


def schema_states(rows: np.ndarray) -> np.ndarray:
    """Convert points in E3SM's units to states.

    Parameters
    ----------
    rows : ndarray, shape (n, 16)
        Updraft, temperature, density, humidity, number, volume, hygroscopicity; MKS.

    Returns
    -------
    ndarray, shape (n, 16)
        In schema units and column order; an empty mode has the lowest number of the training.
    """
    wbar, tair, density, rh = rows[:, :4].T
    number, volume = rows[:, 4:8], rows[:, 8:12]
    empty = number == 0.0
    spread = np.exp(4.5 * LN_SIGMA**2)
    mean_volume = volume / np.where(empty, 1.0, number)
    radius = np.cbrt(0.75 / np.pi * mean_volume / spread) * 1e6
    nominal = np.array([0.055, 0.013, 1.0, 0.025])
    return np.column_stack(
        [
            *(tair, DRY_AIR * density * tair / 100.0, rh, wbar * 100.0),
            np.where(empty, LOW[4:8], number * 1e-6),
            np.where(empty, nominal, radius),
            rows[:, 12:],
        ]
    )


def main(program: str, data: Path) -> None:
    """Try success, with both backends, failure and wrong use.

    Parameters
    ----------
    program : str
        The executable.
    data : Path
        The folder that make_models.py and make_e3sm_data.py filled.
    """
    model = data / "mam4.onnx"
    normal = NormalDist()
    for backend in ("native", "ort"):
        done = run(program, model, backend)
        rows = printed(done)
        places, points, fn, fm = np.split(rows, [3, 19, 23], axis=1)
        assert len(np.unique(places, axis=0)) == len(rows) > 1000
        states = schema_states(points)
        # On a bound is within, give or take the rounding of the conversion.
        low, high = np.array(LOW) * (1.0 - 1e-6), np.array(HIGH) * (1.0 + 1e-6)
        within = np.all((states >= low) & (states <= high), axis=1)
        assert 200 < within.sum() < len(rows) - 200
        empty = points[:, 4:8] == 0.0
        assert 10 < empty[within].any(axis=1).sum() < 200

        session = onnxruntime.InferenceSession(model)
        (expected,) = session.run(["fn"], {"state": states[within].astype(np.float32)})
        expected = np.where(empty[within], 0.0, expected)
        assert np.ptp(expected, axis=0).min() > 0.3
        np.testing.assert_allclose(fn[within], expected, rtol=0, atol=1e-5)
        for number, mass in zip(fn[within, 1], fm[within, 1], strict=True):
            assert abs(normal.cdf(normal.inv_cdf(number) + 3.0 * LN_SIGMA[1]) - mass) < 1e-6
        (network, fallen) = (
            int(re.search(rf"{what} +(\d+) ", done.stderr)[1])  # type: ignore[index]
            for what in ("emulator", "outside the training bounds")
        )
        assert (network, fallen) == (within.sum(), len(rows) - within.sum()), done.stderr
    require_refusals(data, program)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
