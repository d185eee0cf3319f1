"""Bad input, to every command that reads a dataset: one clear line, status 1, nothing written."""

import numpy as np
import pytest
import xarray as xr


@pytest.fixture(scope="module")
def sound(dataset_file) -> xr.Dataset:
    # Shards of such files are small; the bad row is not in the first block of anything.
    return xr.load_dataset(dataset_file).isel(nsamples=slice(0, 3000))


def missing_variable(ds):
    return ds.drop_vars("kappa")


def nan_in_input(ds):
    ds["tair"][2500] = np.nan
    return ds


def infinite_number(ds):
    ds["num_aer"][17, 3] = np.inf
    return ds


def unknown_unit(ds):
    ds["wbar"].attrs["units"] = "furlong fortnight-1"
    return ds


def radius_of_zero(ds):
    ds["r_aer"][[5, 2999], 2] = 0.0
    return ds


def three_modes(ds):
    return ds.isel(nmodes=slice(0, 3))


def negative_updraft(ds):
    ds["wbar"][9] = -10.0
    return ds


def pascals_called_hectopascals(ds):
    ds["pressure"] = ds["pressure"] * 100
    ds["pressure"].attrs["units"] = "hPa"
    return ds


def fraction_above_one(ds):
    ds["fn"][123, 1] = 1.001
    return ds


def fraction_not_a_number(ds):
    ds["fn"][123, 1] = np.nan
    ds["status"][123] = 0
    return ds


def no_fraction(ds):
    return ds.drop_vars("fn")


OF_STATES = [
    (missing_variable, "variable kappa is missing"),
    (nan_in_input, "tair is not finite in 1 rows"),
    (infinite_number, "num_aer is not finite in 1 rows"),
    (unknown_unit, "wbar: unknown unit 'furlong fortnight-1'; known are 'cm s-1'"),
    (radius_of_zero, "r_aer is outside [0.0001, 100] um in 2 rows"),
    (three_modes, "has 3 modes, needs 4"),
    (negative_updraft, "wbar is outside (0, 5000] cm s-1 in 1 rows"),
    (pascals_called_hectopascals, "pressure is outside [50, 1100] hPa in "),
]
OF_LABELS = [
    (fraction_above_one, "fn is outside [0, 1] 1 in 1 rows"),
    (fraction_not_a_number, "fn is not finite in 1 rows"),
]


def refused(done, *said):
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for text in said:
        assert text in done.stderr
    assert "Traceback" not in done.stderr


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [*OF_STATES, *OF_LABELS, (no_fraction, "variable fn is missing")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_search_refuses_it(spoil, said, sound, run_command, tmp_path):
    file = tmp_path / "bad.nc"
    spoil(sound.copy(deep=True)).to_netcdf(file)
    done = run_command("aeroact-hpo", "run", "--data", file, "--out", tmp_path / "runs" / "bad")
    refused(done, str(file), said)
    assert names(tmp_path) == ["bad.nc"]


@pytest.mark.parametrize(
    ("spoil", "said"), OF_STATES, ids=lambda value: getattr(value, "__name__", "")
)
def test_the_generator_refuses_it_as_states(spoil, said, sound, run_command, tmp_path):
    file = tmp_path / "bad.nc"
    spoil(sound.drop_vars(["fn", "smax", "status"]).copy(deep=True)).to_netcdf(file)
    done = run_command(
        "aeroact-data", "generate", "--states", file, "--out", tmp_path / "activation.nc"
    )
    refused(done, str(file), said)
    assert names(tmp_path) == ["bad.nc"]


COMMANDS = [
    ("aeroact-hpo", "run", "--data", "{file}", "--out", "{out}"),
    ("aeroact-data", "generate", "--states", "{file}", "--out", "{out}"),
    ("aeroact-data", "check", "{file}"),
    ("aeroact-export", "{file}", "--out", "{out}"),
    ("aeroact-hpo", "run", "--config", "{file}", "--out", "{out}"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("content", [None, b"", b"not a dataset"], ids=["missing", "empty", "text"])
def test_a_file_that_is_none_is_named(command, content, run_command, tmp_path):
    file, out = tmp_path / "no.nc", tmp_path / "out"
    if content is not None:
        file.write_bytes(content)
    if content == b"" and "--config" in command:
        file.write_bytes(b"trials = [")  # an empty file asks for nothing, which is no error
    done = run_command(*(part.format(file=file, out=out) for part in command))
    refused(done, str(file))
    assert not out.exists()


def test_a_folder_that_cannot_be_written_to_is_named(dataset_file, run_command, tmp_path):
    """Root may write anywhere; nobody may make a folder below a file."""
    blocked = tmp_path / "file"
    blocked.touch()
    done = run_command("aeroact-hpo", "run", "--data", dataset_file, "--out", blocked / "run")
    refused(done, str(blocked), "cannot make this folder")


@pytest.mark.parametrize(
    "command",
    [
        ("aeroact-hpo", "run", "--trials", "0"),
        ("aeroact-hpo", "run", "--trials", "many"),
        ("aeroact-hpo", "run", "--nonsense"),
        ("aeroact-hpo", "walk"),
        ("aeroact-export", "--tolerance", "0.5"),
        ("aeroact-data", "generate", "-n", "-5", "--out", "x.nc"),
        ("aeroact-data", "generate", "--out", "x.nc"),
        ("aeroact-data", "generate", "-n", "5", "--out", "x.nc", "--physics", "magic"),
    ],
    ids=" ".join,
)
def test_wrong_use_exits_with_two_and_writes_nothing(command, run_command, tmp_path):
    done = run_command(*command, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert names(tmp_path) == []


def test_debug_shows_where(run_command, tmp_path):
    done = run_command("aeroact-data", "check", tmp_path / "no.nc", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "AeroactError" in done.stderr
