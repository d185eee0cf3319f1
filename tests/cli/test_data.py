"""`aeroact-data` as a user runs it: what it prints, how it ends, and what it leaves behind."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from aeroact import dataset, states
from aeroact.generate import SHARD, Job, generate
from aeroact.physics.activation import Status
from tests import commands

COMMAND = commands.COMMANDS / "aeroact-data"

# Coarse, because it is not the physics that is tested.
COARSE = ("--bins", "10", "--rtol", "0.01")
run = partial(commands.run_command, "aeroact-data", timeout=120)
fails = partial(commands.fails, "aeroact-data")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Use


@pytest.mark.parametrize("command", ["generate", "check"])
def test_help_has_an_example(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"Example: aeroact-data {command} " in done.stdout


def test_help_lists_the_commands() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "generate" in done.stdout
    assert "check" in done.stdout


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["generate", "-n", "10"], "--out"),
        (["generate", "--out", "a.nc"], "-n"),
        (["generate", "-n", "0", "--out", "a.nc"], "-n"),
        (["generate", "-n", "many", "--out", "a.nc"], "-n"),
        (["generate", "-n", "9", "--seed", "-1", "--out", "a.nc"], "--seed"),
        (["generate", "-n", "9", "--workers", "0", "--out", "a.nc"], "--workers"),
        (["generate", "-n", "9", "--physics", "magic", "--out", "a.nc"], "default, pyrcel"),
        (["generate", "-n", "9", "--sampling", "magic", "--out", "a.nc"], "random, sobol"),
        (["generate", "-n", "9", "--accommodation", "0", "--out", "a.nc"], "--accommodation"),
        (["generate", "-n", "9", "--accommodation", "nan", "--out", "a.nc"], "--accommodation"),
        (["check"], "file"),
        (["mend", "a.nc"], "mend"),
    ],
    ids=" ".join,
)
def test_wrong_use_exits_with_2_and_names_the_option(
    args: list[str], named: str, tmp_path: Path
) -> None:
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert named in done.stderr
    assert done.stdout == ""
    assert names(tmp_path) == []


# generate


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset made by the command."""
    path = tmp_path_factory.mktemp("small") / "a.nc"
    done = run("generate", "-n", "1_000", "--seed", "3", *COARSE, "--out", path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    # Piped, progress is plain lines; a table says what there is now.
    # On a busy machine, writing takes long enough to be told.
    progress, *summary = [line for line in done.stdout.splitlines() if "Writing" not in line]
    assert re.fullmatch(r"Parcels: 1,000 of 1,000  [\d,]+ parcels/s", progress)
    assert summary[0] == f"{path}: 1,000 parcels"
    statuses_of(summary)
    return path


def statuses_of(summary: list[str]) -> dict[str, int]:
    """Return rows by status, as the summary has them, and see that the shares are theirs."""
    title, heads, *lines = [line.split() for line in summary]
    total = int(title[-2].replace(",", ""))
    assert heads == ["status", "rows", "share"]
    statuses = {name: int(rows.replace(",", "")) for name, rows, _ in lines}
    assert sum(statuses.values()) == total
    assert [share for *_, share in lines] == [f"{n / total:.2%}" for n in statuses.values()]
    return statuses


def test_a_dataset_is_all_that_is_left_behind(small: Path) -> None:
    assert names(small.parent) == ["a.nc"]
    with dataset.open_dataset(small) as ds:
        report = dataset.check(ds)
    assert (report.rows, report.reasons) == (1000, {})


def test_the_command_makes_the_file_that_the_library_makes(small: Path, tmp_path: Path) -> None:
    generate(tmp_path / "b.nc", Job(n=1000, seed=3, bins=10, rtol=0.01))
    assert (tmp_path / "b.nc").read_bytes() == small.read_bytes()


def test_the_same_command_again_does_nothing_and_says_the_same(small: Path) -> None:
    before = small.stat().st_mtime_ns
    done = run("generate", "-n", "1000", "--seed", "3", *COARSE, "--out", small)
    assert done.returncode == 0
    with xr.open_dataset(small) as ds:
        status = ds["status"].values
    expected = {s.name: int((status == s).sum()) for s in Status if (status == s).any()}
    assert statuses_of(done.stdout.splitlines()) == expected
    assert small.stat().st_mtime_ns == before


def test_another_command_does_not_overwrite_it(small: Path) -> None:
    before = small.read_bytes()
    line = fails("generate", "-n", "1000", "--seed", "4", *COARSE, "--out", small)
    assert str(small) in line
    assert "--out" in line
    assert small.read_bytes() == before


def test_states_of_a_file_are_labelled(tmp_path: Path) -> None:
    ds = states.sample(60, seed=8)
    ds["pressure"] = (ds["pressure"] * 100).assign_attrs(units="Pa")
    ds.to_netcdf(tmp_path / "states.nc")
    done = run("generate", "--states", tmp_path / "states.nc", "--out", tmp_path / "a.nc")
    assert done.returncode == 0, done.stderr
    with xr.open_dataset(tmp_path / "a.nc") as made:
        assert made["fn"].shape == (60, 4)
        np.testing.assert_allclose(made["pressure"], ds["pressure"] / 100, rtol=1e-6)


def test_states_that_cannot_be_used_are_one_line(small: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.nc"
    target = ("--out", tmp_path / "a.nc")
    assert f"{missing}: no such file" in fails("generate", "--states", missing, *target)
    assert "fewer than the 1,001" in fails("generate", "--states", small, "-n", "1001", *target)
    with xr.load_dataset(small) as ds:
        ds["r_aer"][{"nsamples": 5}] = 0.0
        ds.to_netcdf(tmp_path / "odd.nc")
    assert "r_aer is outside" in fails("generate", "--states", tmp_path / "odd.nc", *target)
    assert names(tmp_path) == ["odd.nc"]


@pytest.mark.parametrize("out", ["plain/a.nc", "made", "."])
def test_a_target_that_cannot_be_is_one_line_that_names_it(out: str, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    (tmp_path / "made").mkdir()
    done = run("generate", "-n", "10", *COARSE, "--out", out, cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: {out.split('/')[0]}")
    assert "folder" in done.stderr or "directory" in done.stderr
    assert names(tmp_path) == ["made", "plain"]
    assert names(tmp_path / "made") == []


def test_debug_shows_a_traceback(tmp_path: Path) -> None:
    done = run("check", tmp_path / "missing.nc", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "missing.nc: no such file" in done.stderr


# Interruptions

LONG = ("-n", str(2 * SHARD), "--seed", "2", *COARSE, "--workers", "1")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("uninterrupted") / "a.nc"
    generate(path, Job(n=2 * SHARD, seed=2, bins=10, rtol=0.01))
    return path.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_job_stopped_half_way_gives_the_same_file_when_it_is_run_again(
    number: signal.Signals, uninterrupted: bytes, tmp_path: Path
) -> None:
    target = tmp_path / "a.nc"
    command = [str(COMMAND), "generate", *LONG, "--out", str(target)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs us in the background would have it ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while not list(tmp_path.glob(".a.nc.shards/*.shard")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert names(tmp_path) == [".a.nc.shards"]
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert errors == "error: interrupted; run the same command again\n"
        assert not list(tmp_path.glob(".a.nc.shards/*.part*"))

    done = run("generate", *LONG, "--out", target)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path) == ["a.nc"]
    assert target.read_bytes() == uninterrupted


# What a process does that is killed where it hurts; `die` ends it as kill -9 does.
DEATHS = {
    "while the file is written": """
regrouped = dataset._regrouped
def torn(*args):
    yield from regrouped(*args)
    die()
dataset._regrouped = torn
""",
    "before the file takes its name": """
replace = Path.replace
Path.replace = lambda path, to: die() if to.name == "a.nc" else replace(path, to)
""",
    "before the shards are removed": "generate.shutil.rmtree = die",
    "while the shards are removed": """
def half(folder, **_):
    (folder / "job.json").unlink()
    sorted(folder.glob("*.shard"))[0].unlink()
    die()
generate.shutil.rmtree = half
""",
}


@pytest.mark.parametrize("death", DEATHS)
def test_killed_at_the_worst_moments_the_same_command_ends_the_job(
    death: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.nc"
    command = ["generate", "-n", "1000", "--seed", "3", *COARSE, "--out", str(target)]
    code = f"""
import os, signal, sys
from pathlib import Path
from aeroact import cli, dataset, generate
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
{DEATHS[death]}
sys.argv = {["aeroact-data", *command]!r}
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert ".a.nc.shards" in names(tmp_path)
    torn = [name for name in names(tmp_path) if ".part" in name]
    assert len(torn) == (death in list(DEATHS)[:2])
    assert ("a.nc" in names(tmp_path)) == (death in list(DEATHS)[2:])

    # Nothing is simulated anew.
    monkeypatch.setattr("aeroact.generate.simulate", None)
    generate(target, Job(n=1000, seed=3, bins=10, rtol=0.01))
    assert names(tmp_path) == ["a.nc"]
    assert target.read_bytes() == small.read_bytes()


def test_a_second_process_on_the_same_file_is_told_so(tmp_path: Path) -> None:
    command = ("generate", *LONG, "--out", tmp_path / "a.nc")
    with subprocess.Popen([COMMAND, *command], stdout=subprocess.DEVNULL) as first:
        try:
            while not (tmp_path / ".a.nc.shards" / "job.json").exists():
                assert first.poll() is None
                time.sleep(0.005)
            first.send_signal(signal.SIGSTOP)
            assert "another process is working here" in fails(*command)
        finally:
            first.kill()


def test_a_damaged_shard_is_told_in_one_line_and_made_anew(small: Path, tmp_path: Path) -> None:
    job, folder = Job(n=1000, seed=3, bins=10, rtol=0.01), tmp_path / ".a.nc.shards"
    folder.mkdir()
    (folder / "job.json").write_text(str(job))
    (shard := folder / "000000000000.shard").write_bytes(b"what a bad disk gives")
    done = run("generate", "-n", "1000", "--seed", "3", *COARSE, "--out", tmp_path / "a.nc")
    assert done.returncode == 0
    assert done.stderr == f"warning: {shard}: damaged; its parcels are simulated anew\n"
    assert (tmp_path / "a.nc").read_bytes() == small.read_bytes()


def test_a_shard_that_cannot_be_written_is_one_line_that_says_where(tmp_path: Path) -> None:
    command = ("generate", "-n", "3000", *COARSE, "--out", tmp_path / "a.nc")
    # No file may grow to the size of this shard, some 250 kB.
    limit = (50_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    done = run(*command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: {tmp_path}/")
    assert "File too large" in done.stderr
    assert names(tmp_path) == [".a.nc.shards"]
    assert not list(tmp_path.glob(".a.nc.shards/*.part*"))

    assert run(*command).returncode == 0
    assert names(tmp_path) == ["a.nc"]


def can_mount() -> bool:
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_mount(), reason="needs the right to mount a small disk")
@pytest.mark.parametrize("size", ["100k", "400k"], ids=["shard", "dataset"])
def test_a_full_disk_is_one_line_and_once_there_is_room_the_job_goes_on(
    size: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # 3,000 rows are a shard of some 250 kB and then a dataset of 200 kB. The disk is in a
    # mount namespace of its own, and goes with the process.
    reference = tmp_path_factory.mktemp("reference") / "a.nc"
    generate(reference, Job(n=3000, seed=1, bins=10, rtol=0.01))
    command = f"{COMMAND} generate -n 3000 {' '.join(COARSE)} --out a.nc >/dev/null"
    script = (
        f"mount -t tmpfs -o size={size} none {tmp_path} && cd {tmp_path} || exit 99\n"
        f"{command} && exit 98\n"
        "find . -name '*.nc' -o -name '*.part*'\n"
        f"mount -o remount,size=4m {tmp_path} || exit 97\n"
        f"{command} || exit 96\n"
        f"ls -A; cmp a.nc {reference}"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert re.search(r"disk (is )?full", line)
    assert "ake room and run the same command again" in line
    assert done.stdout == "a.nc\n", "something half-written was left"


# check


def test_a_sound_dataset_passes_the_check(small: Path) -> None:
    done = run("check", small)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1,000 rows" in done.stdout
    with dataset.open_dataset(small) as ds:
        usable = int(dataset.check(ds).usable.sum())
    assert count_of("usable", done.stdout) == usable
    assert count_of("without a label", done.stdout) == 1000 - usable
    assert count_of("repeat the state", done.stdout) == 0
    for told in ("Status of the parcel model", "num_aer   nsamples, nmodes  float32  cm-3"):
        assert told in done.stdout


@pytest.mark.parametrize("columns", ["80", "200"])
def test_the_check_fits_on_the_screen(columns: str, small: Path) -> None:
    done = subprocess.run(
        [COMMAND, "check", small],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": columns},
    )
    lines = done.stdout.splitlines()
    assert max(map(len, lines[1:])) <= int(columns)
    assert "…" not in done.stdout
    # A narrow screen has one table below the other.
    numbers = [line.split() for line in lines if "num_aer_pcarbon" in line]
    assert [len(line) for line in numbers] == ([11] if columns == "200" else [6, 6])


def test_the_check_as_json_has_all_that_is_printed(small: Path, tmp_path: Path) -> None:
    done = run("check", small, "--json", tmp_path / "report.json")
    assert done.returncode == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["file"], report["modes"]) == (str(small), 4)
    assert report["bytes"] == small.stat().st_size
    assert report["findings"]["n_usable"] == count_of("usable", done.stdout)
    assert sum(report["statuses"].values()) == 1000
    assert [v["name"] for v in report["variables"]][-2:] == ["smax", "status"]
    assert report["distributions"][0]["column"] == "tair"
    assert len(report["distributions"]) == 21


def test_repeated_states_are_a_warning_and_no_failure(tmp_path: Path) -> None:
    dataset.from_arrays(states.sample_rows(0, 100, 1)[[*range(100), 3, 4, 4]]).to_netcdf(
        tmp_path / "a.nc"
    )
    done = run("check", tmp_path / "a.nc")
    assert done.returncode == 0
    assert count_of("repeat the state", done.stdout) == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"warning: {tmp_path}/a.nc: 3 rows repeat the state of another row")


def count_of(finding: str, table: str) -> int:
    """Return the number of rows that a table gives for a finding."""
    line = next(line for line in table.splitlines() if finding in line)
    return int(line.replace(",", "").replace("│", " ").split()[-1])


def test_an_unsound_dataset_fails_the_check_with_a_count_for_each_reason(tmp_path: Path) -> None:
    x = states.sample_rows(0, 3000, 1)
    fn = np.full((3000, 4), 0.5)
    fn[:1200, 2] = 1.5
    ds = dataset.from_arrays(x, fn)
    ds["r_aer"][{"nsamples": slice(7)}] = 0.0
    ds["num_aer"][{"nsamples": 2500}] = np.nan
    ds.to_netcdf(tmp_path / "a.nc")
    done = run("check", tmp_path / "a.nc")
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path}/a.nc: 3 kinds of unsound rows\n"
    assert count_of("usable", done.stdout) == 1799
    assert count_of("fn is outside [0, 1] 1", done.stdout) == 1200
    assert count_of("r_aer is outside [0.0001, 100] um", done.stdout) == 7
    assert count_of("num_aer is not finite", done.stdout) == 1
    assert "\x1b" not in done.stdout


def test_states_without_labels_pass_the_check(tmp_path: Path) -> None:
    states.sample(100, 1).to_netcdf(tmp_path / "a.nc")
    done = run("check", tmp_path / "a.nc")
    assert done.returncode == 0
    assert count_of("usable as states (no fn)", done.stdout) == 100


@pytest.mark.parametrize("content", [b"", b"not NetCDF"])
def test_a_file_of_another_kind_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.nc"
    path.write_bytes(content)
    assert f"{path}: not a NetCDF file" in fails("check", path)


def test_a_file_that_lacks_variables_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "odd.nc"
    xr.Dataset({"tair": ("nsamples", [280.0])}).to_netcdf(path)
    assert "variable pressure, rh, wbar, num_aer, r_aer, kappa is missing" in fails("check", path)


def test_the_name_of_the_file_is_printed_as_it_is(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run[bold]" / "[x]"
    folder.mkdir(parents=True)
    (folder / "a.nc").write_bytes(small.read_bytes())
    done = run("check", "run[bold]/[x]/a.nc", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "run[bold]/[x]/a.nc" in done.stdout
