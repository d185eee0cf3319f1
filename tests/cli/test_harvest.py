"""`aeroact-data harvest` as a user runs it: what it prints, how it ends, what it leaves behind."""

import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import xarray as xr

from tests import commands
from tests.eam_file import AEROSOL, write_eam

COMMAND = commands.COMMANDS / "aeroact-data"
run = partial(commands.run_command, "aeroact-data", timeout=120)
fails = partial(commands.fails, "aeroact-data")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def count_of(finding: str, table: str) -> int:
    """Return the number of rows that a table gives for a finding."""
    line = next(line for line in table.splitlines() if finding in line)
    return int(line.replace(",", "").split()[-2])


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Return a folder with two history files."""
    folder = tmp_path / "eam"
    folder.mkdir()
    write_eam(folder / "a.nc", levels=10, columns=(60,))
    write_eam(folder / "b.nc", levels=10, columns=(60,), first_time=10.0, seed=1)
    return folder


def test_help_has_an_example_and_says_what_even_and_relhum_mean() -> None:
    done = run("harvest", "--help")
    assert done.returncode == 0
    assert "Example: aeroact-data harvest " in done.stdout
    for word in ("equal area", "RELHUM", "100 hPa", "cloudiness", "0.1 m/s"):
        assert word in " ".join(done.stdout.split())


def test_help_does_not_load_what_is_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from aeroact.cli import app\n"
        "assert CliRunner().invoke(app, ['harvest', '--help']).exit_code == 0\n"
        "sys.exit(', '.join({'numba', 'netCDF4', 'xarray', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["a.nc"], "--out"),
        (["--out", "s.nc"], "files"),
        (["a.nc", "-n", "0", "--out", "s.nc"], "-n"),
        (["a.nc", "-n", "3_000_000", "--out", "s.nc"], "-n"),
        (["a.nc", "--seed", "-1", "--out", "s.nc"], "--seed"),
        (["a.nc", "--even", "time,height", "--out", "s.nc"], "'height' is none of time, space"),
        (["a.nc", "--min-pressure", "30000", "--out", "s.nc"], "--min-pressure"),
    ],
    ids=" ".join,
)
def test_wrong_use_exits_with_2_and_names_the_option(
    args: list[str], named: str, tmp_path: Path
) -> None:
    done = run("harvest", *args, cwd=tmp_path)
    assert done.returncode == 2
    # Its frame may break a line.
    assert named in " ".join(done.stderr.replace("│", " ").split()).lower()
    assert done.stdout == ""
    assert names(tmp_path) == []


def test_all_layers_become_states_that_are_sound_and_can_be_labelled(
    history: Path, tmp_path: Path
) -> None:
    out = tmp_path / "states.nc"
    done = run("harvest", history / "a.nc", history / "b.nc", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    # 2 files of 2 times, 7 of 10 levels below 300 hPa, 60 columns.
    usable = count_of("usable", done.stdout)
    assert f"{out}: {usable:,} states from 2,400 layers" in done.stdout
    assert count_of("above the 300-hPa level", done.stdout) == 720
    assert 1600 < usable <= 1680
    assert names(tmp_path) == ["eam", "states.nc"]

    assert run("check", out).returncode == 0
    labelled = run("generate", "--states", out, "-n", "50", "--out", tmp_path / "a.nc")
    assert labelled.returncode == 0, labelled.stderr
    with xr.open_dataset(tmp_path / "a.nc", decode_times=False) as ds:
        assert ds["fn"].shape == (50, 4)
        # Rows without a label are left without one.
        assert int(ds["fn"].notnull().all("nmodes").sum()) >= 45


def test_a_subsample_is_the_same_when_it_is_drawn_again(history: Path, tmp_path: Path) -> None:
    for name in ("1.nc", "2.nc"):
        args = ("-n", "1_00", "--seed", "5", "--even", "space,cloud", "--out", tmp_path / name)
        done = run("harvest", history / "a.nc", history / "b.nc", *args)
        assert done.returncode == 0, done.stderr
        assert f"{name}: 100 states from 2,400 layers" in done.stdout
    assert (tmp_path / "1.nc").read_bytes() == (tmp_path / "2.nc").read_bytes()
    with xr.open_dataset(tmp_path / "1.nc", decode_times=False) as ds:
        assert ds.attrs["harvest_even"] == "space, cloud"
        assert ds.attrs["seed"] == 5


def test_what_a_user_should_know_of_the_files_is_said_in_a_line_each(tmp_path: Path) -> None:
    fields = ["T", "RELHUM", "WSUB", *(n for n in AEROSOL if n[:3] not in ("mom", "soa"))]
    path = write_eam(tmp_path / "a.nc", fields=fields)
    done = run("harvest", path, "-n", "20", "--even", "none", "--out", tmp_path / "s.nc")
    assert done.returncode == 0
    warned = done.stderr.splitlines()
    assert len(warned) == 3
    assert all(line.startswith("warning: ") for line in warned)
    with xr.open_dataset(tmp_path / "s.nc", decode_times=False) as ds:
        assert ds.attrs["harvest_species_left_out"] == "mom, soa"
        assert "RELHUM" in ds.attrs["harvest_notes"]


def test_missing_variables_are_one_line(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc", fields=["T", "Q", *AEROSOL[1:]])
    line = fails("harvest", path, "--out", tmp_path / "s.nc")
    assert line == (
        f"error: {path}: has no WSUB, num_a1; E3SM writes them with this line in user_nl_eam: "
        "fincl1 = 'WSUB', 'num_a1'"
    )
    assert names(tmp_path) == ["a.nc"]


def test_bad_files_are_one_line(history: Path, tmp_path: Path) -> None:
    target = ("--out", tmp_path / "s.nc")
    good = history / "a.nc"
    assert "none.nc: no such file" in fails("harvest", good, tmp_path / "none.nc", *target)
    assert "eam: a folder" in fails("harvest", history, *target)
    torn = history / "torn.nc"
    torn.write_bytes(good.read_bytes()[:-1000])
    assert "torn.nc: torn: 1,000 bytes" in fails("harvest", good, torn, *target)
    other = write_eam(history / "other.nc", columns=(5, 4))
    assert "other.nc: its grid" in fails("harvest", good, other, *target)
    assert names(tmp_path) == ["eam"]


def test_an_existing_target_stays(history: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.nc"
    out.write_text("mine")
    assert f"{out}: exists" in fails("harvest", history / "a.nc", "--out", out)
    assert out.read_text() == "mine"


def test_a_target_that_cannot_be_written_is_one_line(history: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    assert "plain" in fails("harvest", history / "a.nc", "--out", tmp_path / "plain" / "s.nc")
    # No file may grow to the size of this one, some 80 kB.
    limit = (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    done = run(
        *("harvest", history / "a.nc", "--out", tmp_path / "s.nc"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path}/s.nc: ")
    assert names(tmp_path) == ["eam", "plain"]


def test_ctrl_c_leaves_nothing_half_written(tmp_path: Path) -> None:
    source = write_eam(
        tmp_path / "a.nc",
        times=30,
        levels=72,
        columns=(1000,),
        period=100,
        format="NETCDF4",
        zlib=True,
        complevel=1,
    )
    out = tmp_path / "out"
    with subprocess.Popen(
        [str(COMMAND), "harvest", str(source), "--out", str(out / "s.nc")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs us in the background would have it ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while not list(out.glob("*.part*")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    (line,) = errors.splitlines()
    assert line.startswith("error: interrupted")
    assert names(out) == []
