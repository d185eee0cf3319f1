"""ARG2000, an exported emulator and the parcel model side by side, by the driver for E3SM."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aeroact
from aeroact import dataset, schema

BRIDGE = Path(__file__).parents[2] / "fortran_bridge"
SCRIPT = BRIDGE / "e3sm" / "compare_columns.py"
E3SM = BRIDGE.parents[1] / "shared" / "e3sm"
ROWS = 300

pytestmark = pytest.mark.skipif(
    not (shutil.which("gfortran") and shutil.which("cmake")),
    reason="needs a Fortran compiler and CMake: apt-get install gfortran cmake make",
)


@pytest.fixture
def program(build_with) -> Path:
    return Path(build_with("strict") / "e3sm" / "compare_columns")


def compare(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def figures(text: str, row: str) -> list[float]:
    """The numbers of the first row of the table that begins like this: four modes and all."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(row)][:1]
    return [float(word) for word in line.split()[-5:]]


def test_the_driver_prints_what_python_computes(bundle, program, dataset_file):
    done = compare(dataset_file, "--emulator", bundle, "--program", program, "--rows", ROWS)
    assert done.returncode == 0, done.stdout + done.stderr
    with dataset.open_dataset(dataset_file) as ds:
        first = ds.isel(nsamples=slice(ROWS))
        x, parcel = dataset.states(first), dataset.fractions(first)
    whole = np.isfinite(parcel).all(axis=1)
    x, parcel = x[whole], parcel[whole]
    assert f"{len(x)} of {ROWS} states" in done.stdout

    state = schema.split_state(x)
    del state["rh"]
    arg2000 = aeroact.arg2000(**state).fn
    emulator = aeroact.load(bundle)
    within = emulator.in_domain(x)
    fn = np.where(within[:, None], emulator.predict(x), arg2000)
    for name, difference in {
        "ARG2000 - parcel": arg2000 - parcel,
        "emulator with fallback - parcel": fn - parcel,
        "emulator with fallback - ARG2000": fn - arg2000,
    }.items():
        expected = [(difference**2).mean(axis=0), difference.mean(axis=0)]
        for what, values in zip(("MSE", "bias"), expected, strict=True):
            printed = figures(done.stdout, f"{name}, {what}")
            np.testing.assert_allclose(printed, [*values, values.mean()], rtol=0.01, atol=1e-5)
        largest = np.abs(difference).max(axis=0)
        printed = figures(done.stdout, f"{name}, max")
        np.testing.assert_allclose(printed, [*largest, largest.max()], rtol=0.01, atol=1e-5)
    (points,) = re.findall(r"points to be activated: (\d+)\n", done.stdout)
    (answered,) = re.findall(r"\n  emulator +(\d+) ", done.stdout)
    assert (int(points), int(answered)) == (len(x), within.sum())
    for way in ("ARG2000", "emulator, point by point", "emulator, a chunk of 16 x 72 at once"):
        (cost,) = re.findall(rf"\n  {way} +(\d+\.\d+)\n", done.stdout)
        assert float(cost) > 0.0


@pytest.mark.skipif(
    not E3SM.is_dir(), reason="E3SM's own numbers are not beside this checkout (../shared/e3sm)"
)
def test_columns_of_e3sm(bundle, program, tmp_path):
    with (E3SM / "e3sm_column_states.csv").open() as file:
        rows = list(csv.DictReader(file))
    # Layers where E3SM stored what it had activated: at the floor of the updraft or above.
    activated = [row for row in rows if row["wsub_ms"] and float(row["factnum_accum"] or 0) > 0]
    columns = tmp_path / "columns.csv"
    with columns.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(activated)
    done = compare(columns, "--emulator", bundle, "--program", program)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(activated)} rows of {columns} are whole" in done.stdout
    # ARG2000 activates less than the parcel model in clean air; see docs/arg2000.md.
    assert figures(done.stdout, "ARG2000 - parcel, bias")[0] < -0.02


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("&aeroact_nl aeroact_on = .true.\n", "no / at its end"),
        ("&aeroact_nl aeroact_on = .true. /\n", "no aeroact_file"),
        ("&aeroact_nl aeroact_on = 3.5 /\n", "cannot be read"),
        ("&aeroact_nl aeroact_onn = .true. /\n", "aeroact_onn"),
        ("&aeroact_nl aeroact_backend = 'gpu' /\n", "'gpu'. Give 'native'"),
        (f"&aeroact_nl aeroact_file = '{'x' * 1100}' /\n", "too long"),
        ("&aeroact_nl aeroact_on = .false. /\n", "aeroact_on = .false."),
        ("&aeroact_nl2 aeroact_on = .true. /\n", "aeroact_on = .false."),
        ("! nothing here\n", "aeroact_on = .false."),
        ("", "aeroact_on = .false."),
        (
            "&other x = 1 /\n  &AEROACT_NL\n aeroact_on = T,\n aeroact_file = 'no.onnx'\n/\n",
            "no.onnx",
        ),
    ],
)
def test_the_namelist_is_read_or_refused(program, tmp_path, content, message):
    namelist, columns = tmp_path / "atm_in", tmp_path / "columns.txt"
    namelist.write_text(content)
    columns.write_text("0.3 280 1.1 0.9 3*1e8 1e7 4*1e-13 4*0.3 4*0.5\n")
    done = subprocess.run([program, namelist, columns], capture_output=True, text=True)
    assert done.returncode == 1
    assert message in done.stderr


def test_bad_input_is_one_line(bundle, program, tmp_path):
    table = tmp_path / "columns.csv"
    table.write_text("tair_K,pressure_hPa\n280,900\n")
    done = compare(table, "--emulator", bundle, "--program", program)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{table}: has no column rh_liquid" in done.stderr
    namelist, columns = tmp_path / "missing", tmp_path / "columns.txt"
    done = subprocess.run([program, namelist, columns], capture_output=True, text=True)
    assert done.returncode == 1
    assert str(namelist) in done.stderr


def test_the_code_of_the_guide_compiles(build_with, tmp_path):
    build = build_with("strict")
    if not (build / "tests" / "aeroact_eam.mod").exists():
        pytest.skip("needs MPI: apt-get install openmpi-bin libopenmpi-dev")
    guide = (BRIDGE / "e3sm" / "README.md").read_text()
    pieces = re.findall(r"\n   ```fortran\n(.*?)\n   ```\n", guide, flags=re.DOTALL)
    declarations, chunk, choice = pieces
    lines = declarations.splitlines()
    ndrop = (BRIDGE / "tests" / "eam_ndrop.f90.in").read_text()
    for place, piece in {
        "USES": "\n".join(line for line in lines if line.strip().startswith("use ")),
        "DECLARATIONS": "\n".join(line for line in lines if not line.strip().startswith("use ")),
        "CHUNK": chunk,
        "CHOICE": choice.replace("activate_modal( ... )", "activate_modal()"),
    }.items():
        ndrop = ndrop.replace(f"@{place}@", piece)
    (tmp_path / "ndrop.f90").write_text(ndrop)
    flags = ("-std=f2008", "-Wall", "-Werror", f"-I{build / 'modules'}", f"-I{build / 'tests'}")
    done = subprocess.run(
        ["gfortran", *flags, "-fsyntax-only", "ndrop.f90"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
