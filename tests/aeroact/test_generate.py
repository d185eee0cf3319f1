"""A dataset depends on its job alone: not on workers, shards, or what interrupted it."""

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import aeroact
from aeroact import dataset, generate, schema, states
from aeroact.errors import AeroactError
from aeroact.generate import Job, job_for_states
from aeroact.physics.constants import PRESETS
from aeroact.physics.parcel import Status

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
    simulate_shard = generate._simulate_shard

    def failing(path: Path, *args: object) -> None:
        if next(tickets) >= count:
            raise KeyboardInterrupt
        simulate_shard(path, *args)  # type: ignore[arg-type]
        done.append(path.name)

    monkeypatch.setattr(generate, "_simulate_shard", failing)
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
    finished = {path.name for path in shards_of(target).glob("*.npz")}
    assert len(finished) == count

    done = stop_after(1000, monkeypatch)
    generate.generate(target, JOB)
    assert not finished & set(done), "a finished shard was done again"
    assert len(finished) + len(done) == 4
    assert target.read_bytes() == reference.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["b.nc"]


@pytest.fixture(scope="module")
def all_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a job whose power failed before its shards became a dataset."""
    target = tmp_path_factory.mktemp("shards") / "b.nc"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(generate, "SHARD", SMALL_SHARD)
        monkeypatch.setattr(generate, "_assemble", lambda *_: 1 / 0)
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
    shards = sorted(shards_of(target).glob("*.npz"))
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
    (folder / ".000000000000.4242.part.npz").write_bytes(b"PK\x03\x04 torn")
    generate.generate(tmp_path / "b.nc", JOB)
    assert (tmp_path / "b.nc").read_bytes() == reference.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["b.nc"]


def test_a_finished_job_is_not_done_again(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = reference.stat().st_mtime_ns
    stop_after(0, monkeypatch)
    counts = generate.generate(reference, JOB)
    assert counts.total() == JOB.n
    assert reference.stat().st_mtime_ns == before


def test_progress_counts_finished_rows_up_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def progress(done: int, note: str = "") -> None:
        seen.append(done)

    with monkeypatch.context() as broken:
        stop_after(2, broken)
        with pytest.raises(KeyboardInterrupt):
            generate.generate(tmp_path / "b.nc", JOB, workers=1, progress=progress)
    assert seen == [64, 128]
    generate.generate(tmp_path / "b.nc", JOB, workers=1, progress=progress)
    assert seen == [64, 128, 192, 200]


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
    ],
    ids=["n", "seed", "physics", "bins", "rtol", "states"],
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
    assert len(list(shards_of(target).glob("*.npz"))) == 1

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
