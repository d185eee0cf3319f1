"""Compare ARG2000, an emulator and the parcel model on column states, in Fortran.

    python compare_columns.py STATES --emulator BUNDLE --program build/e3sm/compare_columns

STATES is a dataset in the schema (with or without `fn`), or a CSV file of layers of E3SM columns
with the headers `tair_K`, `pressure_hPa`, `rh_liquid`, `wsub_ms` and, of each mode,
`num_aer_accum_cm3`, `r_aer_accum_um`, `kappa_accum` (rows that leave one of them empty are left
out; the updraft is at least 0.1 m s-1, as in E3SM). The parcel model simulates what has no `fn`.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import aeroact
from aeroact import dataset, schema
from aeroact.eam import columns
from aeroact.errors import AeroactError
from aeroact.physics.constants import MAM4_SIGMA_G

DRY_AIR = 287.0423114  # J kg-1 K-1, E3SM's
Rows = NDArray[np.float64]


def with_parcel(states: Rows, fn: Rows | None) -> Rows:
    """Put the parcel model's fractions beside the states, where it has an answer.

    Parameters
    ----------
    states : ndarray, shape (n, 16)
        In schema units and column order.
    fn : ndarray, shape (n, 4), or None
        The fractions, if they are known.

    Returns
    -------
    ndarray, shape (m, 20)
        The rows that have fractions.
    """
    if fn is None:
        state: dict[str, Any] = dict(schema.split_state(states))
        fn = aeroact.simulate(**state).fn
    rows = np.column_stack([states, fn])
    whole = np.isfinite(rows).all(axis=1)
    print(f"the parcel model has an answer for {whole.sum()} of {len(rows)} states")
    return rows[whole]


def to_e3sm(rows: Rows) -> Rows:
    """Convert states to the units and columns of the program.

    Parameters
    ----------
    rows : ndarray, shape (n, 20)
        States in schema units and column order, and fractions.

    Returns
    -------
    ndarray, shape (n, 20)
        Updraft, temperature, density, humidity, number, volume, hygroscopicity (MKS), fractions.
    """
    tair, pressure, rh, wbar = rows[:, :4].T
    number, radius = rows[:, 4:8] * 1e6, rows[:, 8:12] * 1e-6
    spread = np.exp(4.5 * np.log(MAM4_SIGMA_G) ** 2)
    volume = number * (4.0 / 3.0 * np.pi) * radius**3 * spread
    density = 100.0 * pressure / (DRY_AIR * tair)
    return np.column_stack([0.01 * wbar, tair, density, rh, number, volume, rows[:, 12:]])


def read(path: Path, limit: int | None) -> Rows:
    """Read states, and the parcel model's fractions if they are there, else simulate them.

    Parameters
    ----------
    path : Path
        A CSV file, or a dataset in the schema.
    limit : int or None
        The first states only.

    Returns
    -------
    ndarray, shape (n, 20)
        States in schema units and column order, and fractions.
    """
    if path.suffix == ".csv":
        states = columns.read(path)
        print(f"{len(states)} rows of {path} are whole")
        return with_parcel(states[:limit], None)
    with dataset.open_dataset(path) as ds:
        first = ds.isel(nsamples=slice(limit))
        known = dataset.fractions(first) if "fn" in first else None
        return with_parcel(dataset.states(first), known)


def main() -> int:
    """Write what the program reads, and run it.

    Returns
    -------
    int
        Its exit status.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("states", type=Path, help="CSV file or dataset")
    parser.add_argument("--emulator", type=Path, required=True, help="bundle or emulator.onnx")
    parser.add_argument("--program", type=Path, required=True, help="compare_columns, as built")
    parser.add_argument("--backend", default="native", help="native (default), ort or auto")
    parser.add_argument("--no-fallback", action="store_true", help="keep to the emulator")
    parser.add_argument("--rows", type=int, help="how many of the states; default all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        namelist, table = Path(folder, "aeroact_nl"), Path(folder, "columns.txt")
        namelist.write_text(
            "&aeroact_nl\n"
            "  aeroact_on = .true.\n"
            f"  aeroact_file = '{options.emulator}'\n"
            f"  aeroact_backend = '{options.backend}'\n"
            f"  aeroact_fallback = .{'false' if options.no_fallback else 'true'}.\n"
            "/\n"
        )
        try:
            np.savetxt(table, to_e3sm(read(options.states, options.rows)), fmt="%.17e")
        except (AeroactError, OSError) as error:
            print(error, file=sys.stderr)
            return 1
        sys.stdout.flush()
        return subprocess.run([options.program, namelist, table], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
