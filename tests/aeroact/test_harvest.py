"""A harvest takes every usable layer, or an even subsample, and says what became of the others."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from aeroact import dataset, subsample
from aeroact.eam import blocks, layers
from aeroact.eam.history import open_history
from aeroact.errors import AeroactError
from aeroact.generate import job_for_states
from aeroact.harvest import ASPECTS, Plan, Tally, harvest
from aeroact.mam4 import RADIUS_BOUNDS
from tests.eam_file import FIELDS, write_eam

# One layer of each kind that cannot be used: what is put into it, and the reason given.
FLAWS = {
    "values missing": ("Q", np.nan),
    "tair is outside": ("T", 400.0),
    "rh is outside": ("Q", 0.2),
    "wbar is outside": ("WSUB", 80.0),
    "num_aer is outside": ("num_a2", 1e13),
}


def run(path: Path, plan: Plan, *files: Path) -> Tally:
    return harvest(open_history(files), path, plan)


def rows_of(path: Path) -> xr.Dataset:
    with xr.open_dataset(path, decode_times=False) as ds:
        return ds.load()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files, of 4 and 2 times, with a flawed layer of each kind in the first."""
    folder = tmp_path_factory.mktemp("eam")
    first = write_eam(folder / "a.nc", times=4, levels=10, columns=(80,))
    second = write_eam(folder / "b.nc", times=2, levels=10, columns=(80,), first_time=30.0, seed=1)
    with netCDF4.Dataset(first, "a") as file:
        for column, (name, value) in enumerate(FLAWS.values()):
            for other in ("so4_a2", "soa_a2", "ncl_a2", "mom_a2"):
                if name == "num_a2":
                    file[other][1, 9, column] = 1e-6
            file[name][1, 9, column] = value
        for name in FIELDS[4:]:
            file[name][1, 9, 20] = 0.0
    return [first, second]


@pytest.fixture(scope="module")
def everything(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return all usable rows."""
    path = tmp_path_factory.mktemp("all") / "all.nc"
    run(path, Plan(), *files)
    return path


# All rows


def test_every_layer_is_accounted_for(files: list[Path], tmp_path: Path) -> None:
    tally = run(tmp_path / "s.nc", Plan(), *files)
    assert tally.layers == 6 * 10 * 80
    assert tally.usable + tally.unusable.total() == tally.layers
    assert tally.written == tally.usable == rows_of(tmp_path / "s.nc").sizes["nsamples"]
    for reason in (*FLAWS, "no aerosol in any mode"):
        (found,) = (n for why, n in tally.unusable.items() if why.startswith(reason))
        # Random layers are far from the other bounds, but now and then not from that of num_aer.
        assert found == 1 or reason == "num_aer is outside", reason
    assert tally.unusable["above the 300-hPa level"] == 3 * 6 * 80


def test_rows_are_the_states_of_the_layers(files: list[Path], everything: Path) -> None:
    ds = rows_of(everything)
    with netCDF4.Dataset(files[0]) as file:
        pressure = 1e5 * file["hyam"][5] + file["hybm"][5] * file["PS"][2, 7]
        values = {name: np.array([file[name][2, 5, 7]]) for name in FIELDS}
        values["PMID"] = np.array([pressure])
        place = (file["time"][2], file["lat"][7], file["lon"][7], file["CLOUD"][2, 5, 7])
    here = (ds["time"].values == place[0]) & np.isclose(ds["tair"].values, values["T"])
    (row,) = np.flatnonzero(here & np.isclose(ds["lat"].values, place[1]))
    found = dataset.states(dataset.in_schema(ds))[row]
    np.testing.assert_allclose(found, layers.states(values)[0], rtol=1e-6)
    assert ds["lon"].values[row] == pytest.approx(place[2])
    assert ds["cloud_fraction"].values[row] == pytest.approx(place[3])


def test_the_dataset_is_sound_and_can_be_labelled(everything: Path) -> None:
    with dataset.open_dataset(everything) as ds:
        report = dataset.check(ds)
        n = ds.sizes["nsamples"]
        assert all(ds[name].dtype == np.float32 for name in ("tair", "num_aer", "r_aer", "kappa"))
    assert not report.reasons
    assert job_for_states(everything, None, seed=1).n == n


def test_radii_are_within_the_bounds_of_mam4(everything: Path) -> None:
    radius = rows_of(everything)["r_aer"].values
    bounds = np.array(list(RADIUS_BOUNDS.values()))
    assert (radius >= bounds[:, 0] * (1 - 1e-6)).all()
    assert (radius <= bounds[:, 1] * (1 + 1e-6)).all()
    # Neither number nor volume alone decides: there are radii at the bounds and between.
    inside = (radius > bounds[:, 0] * 1.01) & (radius < bounds[:, 1] * 0.99)
    assert (inside.mean(axis=0) > 0.3).all()
    assert (inside.mean(axis=0) < 0.99).all()


def test_the_file_says_where_it_comes_from(files: list[Path], everything: Path) -> None:
    attrs = rows_of(everything).attrs
    size = files[0].stat().st_size
    assert attrs["harvest_sources"].startswith(f"a.nc ({size} bytes, 4 times from 0 to 0.75); b.nc")
    assert attrs["harvest_layers"] == "4800"
    assert "above the 300-hPa level: 1440" in attrs["harvest_unusable"]
    assert attrs["harvest_species_left_out"] == "none"
    assert attrs["history"] == "aeroact-data harvest a.nc b.nc --min-pressure 300"
    assert str(files[0].parent) not in str(attrs)
    time = rows_of(everything)["time"].attrs
    assert (time["units"], time["calendar"]) == ("days since 0001-01-01 00:00:00", "noleap")


def test_the_least_pressure_is_an_option(files: list[Path], tmp_path: Path) -> None:
    run(tmp_path / "s.nc", Plan(min_pressure=800.0), *files)
    assert rows_of(tmp_path / "s.nc")["pressure"].min() >= 800.0


def test_layers_of_a_grid_of_latitudes_and_longitudes(tmp_path: Path) -> None:
    file = write_eam(tmp_path / "a.nc", levels=10, columns=(6, 8))
    tally = run(tmp_path / "s.nc", Plan(), file)
    ds = rows_of(tmp_path / "s.nc")
    assert tally.usable == 2 * 7 * 6 * 8
    counts = Counter(zip(ds["lat"].values.tolist(), ds["lon"].values.tolist(), strict=True))
    assert set(counts.values()) == {2 * 7}
    assert len(counts) == 6 * 8


# Subsamples


def test_a_subsample_is_some_of_all_rows_and_depends_on_the_seed(
    files: list[Path], everything: Path, tmp_path: Path
) -> None:
    rows = {}
    for seed in (1, 2):
        tally = run(tmp_path / f"{seed}.nc", Plan(n=200, seed=seed), *files)
        assert tally.written == 200
        x = dataset.states(dataset.in_schema(rows_of(tmp_path / f"{seed}.nc")))
        rows[seed] = {row.tobytes() for row in x}
        assert len(rows[seed]) == 200
    whole = {row.tobytes() for row in dataset.states(dataset.in_schema(rows_of(everything)))}
    assert rows[1] <= whole
    assert rows[2] <= whole
    assert rows[1] != rows[2]


def test_the_same_subsample_comes_in_blocks_of_any_size(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "whole.nc", Plan(n=150), *files)
    monkeypatch.setattr(blocks, "WINDOW", 4 * len(FIELDS) * 70)
    monkeypatch.setattr(blocks, "BLOCK", 31)
    monkeypatch.setattr(subsample, "_PENDING", 40)
    run(tmp_path / "cut.nc", Plan(n=150), *files)
    assert (tmp_path / "cut.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()


def test_more_than_there_is_gives_all(files: list[Path], everything: Path, tmp_path: Path) -> None:
    run(tmp_path / "s.nc", Plan(n=10_000), *files)
    xr.testing.assert_equal(rows_of(tmp_path / "s.nc"), rows_of(everything))


def spread(path: Path, aspect: str) -> list[int]:
    """Return how many rows there are at each time, band of latitude, height or cloudiness."""
    ds = rows_of(path)
    if aspect == "cloud":
        labels = np.digitize(ds["cloud_fraction"], (0.01, 1 / 3, 2 / 3))
    elif aspect == "latitude":
        labels = np.floor(5 * (1 + np.sin(np.radians(ds["lat"].values)))).clip(0, 9)
    elif aspect == "height":
        labels = np.minimum((ds["pressure"].values - 300) // 100, 6).astype(int)
    else:
        labels = ds["time"].values
    return sorted(np.unique(labels, return_counts=True)[1].tolist())


@pytest.mark.parametrize("columns", [(1200,), (60, 40)], ids=["ncol", "lat-lon"])
def test_a_subsample_is_even_over_time_space_and_cloudiness(
    columns: tuple[int, ...], tmp_path: Path
) -> None:
    path = write_eam(tmp_path / "a.nc", times=3, levels=14, columns=columns)
    with netCDF4.Dataset(path, "a") as file:
        file["CLOUD"][1:] = 0.0  # all clear but for the first time
        file["CLOUD"][0, :, ::3] = 0.1 + 0.85 * np.random.default_rng(0).random(
            file["CLOUD"][0, :, ::3].shape
        )
    for n, even in enumerate((ASPECTS, ())):
        run(tmp_path / f"{n}.nc", Plan(n=4000, even=even), path)
    # Even as far as there are enough: cloudy layers are at one time only.
    _, *others = sorted(spread(tmp_path / "0.nc", "cloud"), reverse=True)
    plain = sorted(spread(tmp_path / "1.nc", "cloud"), reverse=True)
    assert sum(others) > 1.2 * sum(plain[1:])
    for aspect, parts in (("latitude", 10), ("height", 7)):
        counts = spread(tmp_path / "0.nc", aspect)
        assert len(counts) == parts
        assert max(counts) < 1.25 * min(counts), aspect
    if len(columns) == 2:
        # On such a grid a plain sample crowds the poles.
        uneven = spread(tmp_path / "1.nc", "latitude")
        assert max(uneven) > 1.8 * min(uneven)


def test_a_subsample_even_over_time_alone_has_as_many_of_each(
    files: list[Path], tmp_path: Path
) -> None:
    run(tmp_path / "s.nc", Plan(n=602, even=("time",)), *files)
    assert spread(tmp_path / "s.nc", "time") == [100, 100, 100, 100, 101, 101]


def test_many_times_are_gathered_into_spells(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc", times=48, levels=4, columns=(20,))
    run(tmp_path / "s.nc", Plan(n=240, even=("time",)), path)
    ds = rows_of(tmp_path / "s.nc")
    spells = np.unique(np.floor(ds["time"] / 0.5), return_counts=True)[1]
    assert spells.tolist() == [10] * 24


def test_without_a_cloud_fraction_liquid_water_tells(tmp_path: Path) -> None:
    fields = ["CLDLIQ" if name == "CLOUD" else name for name in FIELDS]
    path = write_eam(tmp_path / "a.nc", columns=(300,), fields=fields)
    run(tmp_path / "s.nc", Plan(n=300, even=("cloud",)), path)
    water = rows_of(tmp_path / "s.nc")["cloud_water"]
    assert water.attrs["units"] == "kg kg-1"
    # The file has no water below 1e-8 but none at all, and up to 1e-4: three classes of 100,
    # were there enough layers of the middle ones.
    classes = np.bincount(np.digitize(water, (1e-8, 1e-6, 1e-5)), minlength=4)
    assert classes[3] == classes[0]
    assert classes[2] > 0.9 * classes[0]


def test_a_layer_without_cloudiness_cannot_be_used(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc")
    with netCDF4.Dataset(path, "a") as file:
        file["CLOUD"][0, 7, 3] = np.nan
    assert run(tmp_path / "s.nc", Plan(), path).unusable["values missing (NaN or fill)"] == 1


def test_a_layer_where_water_would_boil_cannot_be_used(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc", levels=10)
    with netCDF4.Dataset(path, "a") as file:
        # At some 100 hPa; saturation is at 165 hPa.
        file["T"][1, 0, 4], file["Q"][1, 0, 4] = 329.0, 0.1
    tally = run(tmp_path / "s.nc", Plan(min_pressure=50.0), path)
    assert tally.unusable["water would boil"] == 1


# Failures


def test_nothing_usable_is_an_error_that_says_why(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc")
    with netCDF4.Dataset(path, "a") as file:
        file["T"][:] = np.nan
    for plan in (Plan(), Plan(n=10)):
        with pytest.raises(AeroactError, match=r"no usable layer among 192 \(values missing"):
            run(tmp_path / "s.nc", plan, path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]


def test_a_file_torn_after_it_was_opened_leaves_nothing(tmp_path: Path) -> None:
    path = write_eam(tmp_path / "a.nc", times=9)
    history = open_history([path])
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(AeroactError, match="torn"):
        harvest(history, tmp_path / "s.nc", Plan())
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]


def test_an_existing_file_stays(files: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "s.nc"
    path.write_text("mine")
    with pytest.raises(AeroactError, match=r"s\.nc: exists; remove it or choose another --out"):
        run(path, Plan(), *files)
    assert path.read_text() == "mine"


# Size

PEAK = """
import sys
from pathlib import Path
from aeroact.eam.history import open_history
from aeroact.harvest import Plan, harvest
n = int(sys.argv[3]) or None
harvest(open_history([Path(sys.argv[1])]), Path(sys.argv[2]), Plan(n=n))
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def peak_memory(source: Path, target: Path, n: int) -> float:
    """Return the most memory in GB that a process held while it harvested a file."""
    command = [sys.executable, "-c", PEAK, str(source), str(target), str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
    return int(done.stdout) * 1024 / 1e9


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_gigabytes_are_harvested_in_less_than_one(tmp_path: Path) -> None:
    # 3 GB that deflate to 50 MB: each variable's chunk, one time of it, is 6 MB.
    columns, times = 21_600, 16
    path = write_eam(
        tmp_path / "a.nc",
        times=times,
        levels=72,
        columns=(columns,),
        period=216,
        format="NETCDF4",
        zlib=True,
        complevel=1,
        chunksizes=(1, 72, columns),
    )
    assert times * 72 * columns * len(FIELDS) * 4 > 2.8e9
    for n in (0, 500_000):
        assert peak_memory(path, tmp_path / f"{n}.nc", n) < 1.0
        (tmp_path / f"{n}.nc").unlink()
