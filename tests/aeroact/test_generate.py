"""A dataset depends on its job alone: not on workers, shards, or what interrupted it."""

import itertools
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import aeroact
from aeroact import dataset, generate, schema, states
from aeroact.console import Progress
from aeroact.errors import AeroactError
from aeroact.generate import Job, job_for_states
from aeroact.physics.constants import PRESETS
from aeroact.physics.parcel import Status
from aeroact.shards import Shards

SMALL_SHARD = 64
# Three whole shards and a part of one; coarse, because it is not the physics that is tested.
JOB = Job(n=200, seed=5, bins=10, rtol=1e-2)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "SHARD", SMALL_SHARD)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the job's dataset, made in one go by one worker."""
    path = tmp_path_factory.mktemp("reference") / "a.nc"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(generate, "SHARD", SMALL_SHARD)
        generate.generate(path, JOB, workers=1)
    return path


def shards_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.shards")


def stop_after(count: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the computer fail after some shards; returns the list of shards that get done."""
    done: list[str] = []
    tickets = itertools.count()
    write = Shards.write

    def failing(shards: Shards, start: int, rows: NDArray) -> None:
        if next(tickets) >= count:
            raise KeyboardInterrupt
        write(shards, start, rows)
        done.append(shards.path(start).name)

    monkeypatch.setattr(Shards, "write", failing)
    return done


def states_file(
    folder: Path, change: Callable[[xr.Dataset], xr.Dataset] = lambda ds: ds, rows: int = 100
) -> Path:
    """Write states as somebody else's program would."""
    path = folder / "states.nc"
    change(states.sample(rows, seed=8)).to_netcdf(path)
    return path


# What is in the file


def test_a_dataset_holds_the_sampled_states_in_single_precision(reference: Path) -> None:
    with dataset.open_dataset(reference) as ds:
        np.testing.assert_array_equal(
            dataset.states(ds), states.sample_rows(0, 200, 5).astype(np.float32)
        )


def test_labels_are_those_of_simulate_on_the_same_rows(reference: Path) -> None:
    with xr.open_dataset(reference) as ds:
        inputs = [ds[v.name].values.astype(np.float64) for v in schema.INPUTS]
        result = aeroact.simulate(*inputs, bins=10, rtol=1e-2)
        np.testing.assert_array_equal(ds["fn"].values, result.fn.astype(np.float32))
        np.testing.assert_array_equal(ds["smax"].values, result.smax.astype(np.float32))
        np.testing.assert_array_equal(ds["status"].values, result.status)


def test_a_job_passes_all_its_settings_to_the_parcel_model(tmp_path: Path) -> None:
    job = Job(n=30, seed=2, physics="pyrcel", bins=23, rtol=1e-3)
    generate.generate(tmp_path / "a.nc", job)
    x = states.sample_rows(0, 30, 2).astype(np.float32).astype(np.float64)
    columns = [x[:, schema.column_slice(v)] for v in schema.INPUTS]
    result = aeroact.simulate(
        *(c[:, 0] for c in columns[:4]), *columns[4:], physics="pyrcel", bins=23, rtol=1e-3
    )
    with xr.open_dataset(tmp_path / "a.nc") as ds:
        np.testing.assert_array_equal(ds["fn"].values, result.fn.astype(np.float32))


def invalid_in_rows(*rows: int) -> Callable[[xr.Dataset], xr.Dataset]:
    def change(ds: xr.Dataset) -> xr.Dataset:
        ds["status"] = ("nsamples", np.zeros(ds.sizes["nsamples"], np.int8))
        ds["tair"][list(rows)] = np.nan
        # Marked by whoever made it, so that the file is sound.
        ds["status"][list(rows)] = 1
        return ds

    return change


def test_a_row_has_a_label_if_and_only_if_its_status_is_ok(tmp_path: Path) -> None:
    path = states_file(tmp_path, invalid_in_rows(3, 70))
    counts = generate.generate(
        tmp_path / "a.nc", job_for_states(path, None, seed=1, bins=10), states_file=path, workers=1
    )
    with xr.open_dataset(tmp_path / "a.nc") as ds:
        status, fn = ds["status"].values, ds["fn"].values
        np.testing.assert_array_equal(np.isnan(fn).any(axis=1), status != Status.OK)
        np.testing.assert_array_equal(np.isnan(fn).all(axis=1), status != Status.OK)
        np.testing.assert_array_equal(np.isnan(ds["smax"].values), status != Status.OK)
        labels = fn[status == Status.OK]
        assert ((labels >= 0) & (labels <= 1)).all()
        assert counts == {s.name: (status == s).sum() for s in Status if (status == s).any()}
    assert counts["INVALID"] == 2
    assert counts.total() == 100


def test_a_generated_dataset_is_sound(reference: Path) -> None:
    with dataset.open_dataset(reference) as ds:
        report = dataset.check(ds)
        assert report.flagged == (ds["status"].values != 0).sum()
    dataset.require_sound(reference, report)


def test_the_file_says_where_it_comes_from(reference: Path) -> None:
    with xr.open_dataset(reference) as ds:
        for name, value in PRESETS["default"].attributes().items():
            assert ds.attrs[name] == value
        assert ds.attrs["physics_preset"] == "default"
        assert ds.attrs["seed"] == 5
        assert json.loads(ds.attrs["aeroact_job"]) == asdict(JOB)
        assert ds["status"].attrs["flag_meanings"].split() == [s.name for s in Status]
        assert ds["status"].attrs["flag_values"].tolist() == [int(s) for s in Status]


def test_the_history_is_the_command_that_makes_the_file(reference: Path) -> None:
    with xr.open_dataset(reference) as ds:
        words = ds.attrs["history"].split()
    assert words[:2] == ["aeroact-data", "generate"]
    settings_of_history = dict(zip(words[2::2], words[3::2], strict=True))
    assert settings_of_history["-n"] == "200"
    assert settings_of_history["--seed"] == "5"
    assert settings_of_history["--physics"] == "default"
    assert settings_of_history["--bins"] == "10"
    assert float(settings_of_history["--rtol"]) == 1e-2
    assert settings_of_history["--sampling"] == "random"
    assert "--accommodation" not in words
    assert "--kinetic" not in words


def test_accommodation_sampling_and_the_second_label_are_in_the_file(tmp_path: Path) -> None:
    job = Job(n=30, seed=2, method="sobol", accommodation=0.3, bins=20, rtol=1e-3, kinetic=True)
    generate.generate(tmp_path / "a.nc", job)
    x = states.sample_rows(0, 30, 2, "sobol").astype(np.float32)
    result = aeroact.simulate(
        *schema.split_state(x.astype(np.float64)).values(),
        accommodation=0.3,
        bins=20,
        rtol=1e-3,
        kinetic=True,
    )
    assert result.fn_kinetic is not None
    with dataset.open_dataset(tmp_path / "a.nc") as ds:
        np.testing.assert_array_equal(dataset.states(ds), x)
        np.testing.assert_array_equal(ds["fn"], result.fn.astype(np.float32))
        np.testing.assert_array_equal(ds["fn_kinetic"], result.fn_kinetic.astype(np.float32))
        assert ds["fn_kinetic"].dims == ("nsamples", "nmodes")
        assert ds["fn_kinetic"].attrs["units"] == "1"
        assert "50 m above" in ds["fn_kinetic"].attrs["long_name"]
        assert ds.attrs["physics_preset"] == "default"
        assert ds.attrs["physics_mass_accommodation"] == 0.3
        history = ds.attrs["history"]
    assert "--sampling sobol" in history
    assert "--accommodation 0.3" in history
    assert history.endswith("--kinetic")


def test_without_its_option_there_is_no_second_label(reference: Path) -> None:
    with xr.open_dataset(reference) as ds:
        assert set(ds.data_vars) == {v.name for v in (*schema.INPUTS, schema.FN)} | {
            "smax",
            "status",
        }


def test_the_history_says_that_states_were_given(tmp_path: Path) -> None:
    path = states_file(tmp_path)
    generate.generate(
        tmp_path / "a.nc", job_for_states(path, 9, seed=1), states_file=path, workers=1
    )
    with xr.open_dataset(tmp_path / "a.nc") as ds:
        assert "--states" in ds.attrs["history"]


# Same job, same file


@pytest.mark.parametrize("workers", [2, 3, 16])
def test_the_number_of_workers_does_not_show(workers: int, reference: Path, tmp_path: Path) -> None:
    generate.generate(tmp_path / "b.nc", JOB, workers=workers)
    assert (tmp_path / "b.nc").read_bytes() == reference.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["b.nc"]


def test_the_size_of_shards_does_not_show(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "SHARD", 77)
    monkeypatch.setattr(generate, "_CALL", 10)
    generate.generate(tmp_path / "b.nc", JOB)
    assert (tmp_path / "b.nc").read_bytes() == reference.read_bytes()


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("workers", [1, 3])
def test_an_interrupted_job_goes_on_where_it_stopped(
    count: int, workers: int, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "b.nc"
    with monkeypatch.context() as broken:
        stop_after(count, broken)
        with pytest.raises(KeyboardInterrupt):
            generate.generate(target, JOB, workers=workers)
    assert not target.exists()
    finished = {path.name for path in shards_of(target).glob("*.shard")}
    assert len(finished) == count

    done = stop_after(1000, monkeypatch)
    generate.generate(target, JOB)
    assert not finished & set(done), "a finished shard was done again"
    assert len(finished) + len(done) == 4
    assert target.read_bytes() == reference.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["b.nc"]


def test_an_interruption_does_not_wait_for_a_whole_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One thread fails while the other one is within its shard.
    monkeypatch.setattr(generate, "_CALL", 1)
    within, calls, simulate = threading.Event(), itertools.count(), generate.simulate

    def failing(tair: NDArray, *args: Any, **kwargs: Any) -> Any:
        if tair[0] == np.float32(states.sample_rows(0, 1, JOB.seed)[0, 0]):
            assert within.wait(60)
            raise KeyboardInterrupt
        within.set()
        next(calls)
        time.sleep(0.05)
        return simulate(tair, *args, **kwargs)

    monkeypatch.setattr(generate, "simulate", failing)
    with pytest.raises(KeyboardInterrupt):
        generate.generate(tmp_path / "b.nc", JOB, workers=2)
    assert next(calls) < SMALL_SHARD
    assert not list(shards_of(tmp_path / "b.nc").glob("*.shard"))


@pytest.fixture(scope="module")
def all_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a job whose power failed before its shards became a dataset."""
    target = tmp_path_factory.mktemp("shards") / "b.nc"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(generate, "SHARD", SMALL_SHARD)
        monkeypatch.setattr(dataset, "write_blocks", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            generate.generate(target, JOB)
    return shards_of(target)


@settings(max_examples=10)
@given(st.sets(st.sampled_from(range(4))))
def test_whichever_shards_are_there_the_file_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, all_shards: Path, reference: Path, lost: set[int]
) -> None:
    target = tmp_path_factory.mktemp("resumed") / "b.nc"
    shutil.copytree(all_shards, shards_of(target))
    shards = sorted(shards_of(target).glob("*.shard"))
    assert len(shards) == 4
    for k in lost:
        shards[k].unlink()
    generate.generate(target, JOB)
    assert target.read_bytes() == reference.read_bytes()


def test_what_a_killed_process_left_beside_a_shard_is_of_no_account(
    reference: Path, tmp_path: Path
) -> None:
    folder = shards_of(tmp_path / "b.nc")
    folder.mkdir()
    (folder / ".000000000000.4242.part.shard").write_bytes(b"torn")
    (tmp_path / ".b.4242.part.nc").write_bytes(b"torn")
    generate.generate(tmp_path / "b.nc", JOB)
    assert (tmp_path / "b.nc").read_bytes() == reference.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["b.nc"]


@settings(max_examples=25)
@given(st.data())
def test_a_damaged_shard_is_noticed_and_made_anew(
    tmp_path_factory: pytest.TempPathFactory,
    all_shards: Path,
    reference: Path,
    data: st.DataObject,
) -> None:
    target = tmp_path_factory.mktemp("damaged") / "b.nc"
    shutil.copytree(all_shards, shards_of(target))
    shard = data.draw(st.sampled_from(sorted(shards_of(target).glob("*.shard"))))
    content = bytearray(shard.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    shard.write_bytes(content)
    with pytest.MonkeyPatch.context() as monkeypatch:
        done = stop_after(1000, monkeypatch)
        said: list[str] = []
        monkeypatch.setattr(generate.console, "warn", said.append)
        generate.generate(target, JOB)
    assert done == [shard.name]
    assert said == [f"{shard}: damaged; its parcels are simulated anew"]
    assert target.read_bytes() == reference.read_bytes()


@pytest.mark.parametrize("recorded", [True, False])
def test_what_is_left_of_a_finished_jobs_shards_goes(
    recorded: bool, all_shards: Path, reference: Path, tmp_path: Path
) -> None:
    # Killed after the file took its name, before or while the shards were removed.
    target = tmp_path / "b.nc"
    shutil.copy(reference, target)
    shutil.copytree(all_shards, shards_of(target))
    if not recorded:
        (shards_of(target) / "job.json").unlink()
    assert generate.generate(target, JOB).total() == JOB.n
    assert [path.name for path in tmp_path.iterdir()] == ["b.nc"]


def test_shards_of_another_job_beside_a_finished_file_are_left_alone(
    all_shards: Path, reference: Path, tmp_path: Path
) -> None:
    target = tmp_path / "b.nc"
    shutil.copy(reference, target)
    shutil.copytree(all_shards, shards_of(target))
    (shards_of(target) / "job.json").write_text(str(replace(JOB, seed=6)))
    generate.generate(target, JOB)
    assert len(list(shards_of(target).glob("*.shard"))) == 4


def test_shards_that_nobody_claimed_are_not_trusted(
    all_shards: Path, reference: Path, tmp_path: Path
) -> None:
    # Their removal was cut short, and then somebody removed the dataset.
    target = tmp_path / "b.nc"
    shutil.copytree(all_shards, shards_of(target))
    (shards_of(target) / "job.json").unlink()
    other = replace(JOB, seed=6)
    generate.generate(target, other)
    generate.generate(tmp_path / "c.nc", other)
    assert target.read_bytes() == (tmp_path / "c.nc").read_bytes()


def test_a_finished_job_is_not_done_again(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = reference.stat().st_mtime_ns
    stop_after(0, monkeypatch)
    counts = generate.generate(reference, JOB)
    assert counts.total() == JOB.n
    assert reference.stat().st_mtime_ns == before


def test_progress_counts_finished_rows_up_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, int]] = []
    seen: list[int] = []

    @contextmanager
    def progress(
        title: str, total: int, done: int = 0, *, unit: str = "", after: float = 0.0
    ) -> Iterator[Progress]:
        assert total == JOB.n
        begun.append((title, done))
        yield lambda done, note="": seen.append(done)

    with monkeypatch.context() as broken:
        stop_after(2, broken)
        with pytest.raises(KeyboardInterrupt):
            generate.generate(tmp_path / "b.nc", JOB, workers=1, progress=progress)
    assert (begun, seen) == ([("Parcels", 0)], [64, 128])
    begun.clear()
    seen.clear()
    generate.generate(tmp_path / "b.nc", JOB, workers=1, progress=progress)
    assert begun == [("Parcels", 128), ("Writing", 0)]
    assert seen == [192, 200, 64, 128, 192, 200]


# Other jobs


@pytest.mark.parametrize(
    "other",
    [
        replace(JOB, n=201),
        replace(JOB, seed=6),
        replace(JOB, physics="pyrcel"),
        replace(JOB, bins=11),
        replace(JOB, rtol=1e-3),
        replace(JOB, states="0" * 64),
        replace(JOB, method="sobol"),
        replace(JOB, accommodation=0.5),
        replace(JOB, kinetic=True),
    ],
    ids=["n", "seed", "physics", "bins", "rtol", "states", "method", "accommodation", "kinetic"],
)
def test_another_jobs_shards_and_file_are_refused_and_left_alone(
    other: Job, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "b.nc"
    with monkeypatch.context() as broken:
        stop_after(1, broken)
        with pytest.raises(KeyboardInterrupt):
            generate.generate(target, JOB, workers=1)
    with pytest.raises(AeroactError, match="unfinished job with other settings"):
        generate.generate(target, other)
    assert len(list(shards_of(target).glob("*.shard"))) == 1

    shutil.copy(reference, target)
    with pytest.raises(AeroactError, match=r"b\.nc: exists and is not this job's"):
        generate.generate(target, other)
    assert target.read_bytes() == reference.read_bytes()


def test_a_dataset_of_other_origin_is_never_overwritten(tmp_path: Path) -> None:
    theirs = states_file(tmp_path)
    before = theirs.read_bytes()
    with pytest.raises(AeroactError, match="exists and is not this job's"):
        generate.generate(theirs, JOB)
    assert theirs.read_bytes() == before


def test_two_processes_do_not_work_on_the_same_dataset(tmp_path: Path) -> None:
    target = tmp_path / "b.nc"
    code = (
        "import sys, time; from pathlib import Path; from aeroact.files import locked\n"
        "with locked(Path(sys.argv[1])):\n"
        "    print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, shards_of(target)], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            with pytest.raises(AeroactError, match="another process is working"):
                generate.generate(target, JOB)
        finally:
            holder.kill()
    generate.generate(target, JOB)


def test_a_target_beneath_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AeroactError, match="cannot make this folder"):
        generate.generate(tmp_path / "file" / "b.nc", JOB)


# States from a file


def test_states_from_a_file_in_other_units_are_labelled_in_its_order(tmp_path: Path) -> None:
    def change(ds: xr.Dataset) -> xr.Dataset:
        ds["pressure"] = (ds["pressure"] * 100).assign_attrs(units="Pa")
        ds["wbar"] = (ds["wbar"] / 100).assign_attrs(units="m s-1")
        ds["num_aer"] = (ds["num_aer"] * 1e6).assign_attrs(units="m-3")
        ds["r_aer"] = (ds["r_aer"] * 1e-6).assign_attrs(units="m")
        return ds.rename(tair="Tair")

    path = states_file(tmp_path, change)
    job = job_for_states(path, None, seed=1, bins=10, rtol=1e-2)
    assert job.n == 100
    generate.generate(tmp_path / "a.nc", job, states_file=path, workers=1)

    with xr.open_dataset(tmp_path / "a.nc") as ds:
        inputs = [ds[v.name].values.astype(np.float64) for v in schema.INPUTS]
        assert ds["pressure"].attrs["units"] == "hPa"
        result = aeroact.simulate(*inputs, bins=10, rtol=1e-2)
        np.testing.assert_array_equal(ds["fn"].values, result.fn.astype(np.float32))
        np.testing.assert_allclose(
            dataset.states(ds), states.sample_rows(0, 100, 8), rtol=1e-6, atol=0
        )


def test_many_workers_may_read_the_states(tmp_path: Path) -> None:
    # In a process of its own: the NetCDF library brings down one that enters it twice at a time.
    code = (
        "import sys; from pathlib import Path; from aeroact import generate as g\n"
        "g.SHARD = 8\n"
        "states, *targets = map(Path, sys.argv[1:])\n"
        "job = g.job_for_states(states, None, seed=1, bins=10, rtol=1e-2)\n"
        "for target, workers in zip(targets, (1, 16, 16)):\n"
        "    g.generate(target, job, states_file=states, workers=workers)"
    )
    targets = [tmp_path / name for name in ("a.nc", "b.nc", "c.nc")]
    done = subprocess.run(
        [sys.executable, "-c", code, states_file(tmp_path, rows=400), *targets],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len({target.read_bytes() for target in targets}) == 1


def test_the_first_rows_of_a_file_can_be_asked_for(tmp_path: Path) -> None:
    path = states_file(tmp_path)
    generate.generate(
        tmp_path / "a.nc", job_for_states(path, 70, seed=1), states_file=path, workers=1
    )
    with dataset.open_dataset(tmp_path / "a.nc") as ds:
        np.testing.assert_array_equal(
            dataset.states(ds), states.sample_rows(0, 70, 8).astype(np.float32)
        )


def test_more_states_than_the_file_has_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(AeroactError, match=r"states\.nc: has 100 states, fewer than the 101"):
        job_for_states(states_file(tmp_path), 101, seed=1)


def test_unsound_states_are_an_error_that_names_them(tmp_path: Path) -> None:
    def change(ds: xr.Dataset) -> xr.Dataset:
        ds["r_aer"][{"nsamples": [1, 2]}] = 0.0
        return ds

    with pytest.raises(AeroactError, match=r"states\.nc: r_aer is outside .* in 2 rows"):
        job_for_states(states_file(tmp_path, change), None, seed=1)


def test_labels_beside_the_states_do_not_matter(tmp_path: Path) -> None:
    def change(ds: xr.Dataset) -> xr.Dataset:
        ds["fn"] = ds["kappa"] * np.nan
        ds["fn"].attrs["units"] = "1"
        return ds

    assert job_for_states(states_file(tmp_path, change), None, seed=1).n == 100


def test_other_content_of_the_states_file_is_another_job(tmp_path: Path) -> None:
    first = job_for_states(states_file(tmp_path), None, seed=1)
    second = job_for_states(
        states_file(tmp_path, lambda ds: ds.isel(nsamples=slice(None, None, -1))), None, seed=1
    )
    assert first.states != second.states
    assert first == job_for_states(states_file(tmp_path), None, seed=1)


# Size

# The real thing but for the parcel model, and without waiting for the disk.
IN_MEMORY_OF_ITS_OWN = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from aeroact import generate as g
from aeroact.survey import survey

def simulate(*state, **_):
    status = np.zeros(len(state[0]), np.int8)
    return SimpleNamespace(fn=np.clip(state[-1], 0, 1), smax=state[0] / 3e4, status=status)

g.simulate = simulate
os.fsync = lambda _: None
path, n = Path(sys.argv[2]), int(sys.argv[3])
if sys.argv[1] == "generate":
    assert g.generate(path, g.Job(n=n, seed=1)) == {"OK": n}
elif sys.argv[1] == "survey":
    assert survey(path).findings.n_usable == n
else:
    assert g.job_for_states(path, None, seed=1).n == n
status = Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split()[0])
"""


def peak_memory(what: str, path: Path, n: int) -> float:
    """Return the most memory that a process of its own had (MB)."""
    done = subprocess.run(
        [sys.executable, "-c", IN_MEMORY_OF_ITS_OWN, what, path, str(n)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) / 1000


@pytest.mark.slow
def test_memory_does_not_grow_with_the_dataset(tmp_path: Path) -> None:
    small, large = tmp_path / "small.nc", tmp_path / "large.nc"
    for what, limit in (("generate", 400), ("job_for_states", 500), ("survey", 600)):
        few = peak_memory(what, small, 1_000_000)
        many = peak_memory(what, large, 10_000_000)
        assert many < limit
        # A survey keeps a hash of 8 bytes for each state, of so many at most.
        hashes = 8e-6 * 10_000_000 if what == "survey" else 0
        assert many - few < 50 + hashes
