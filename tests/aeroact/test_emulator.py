"""An emulator opens only if it is whole, answers only what makes sense, and needs no TensorFlow."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from aeroact import dataset, schema, states
from aeroact.emulator import Emulator, open_bundle, read_sums, require_fractions
from aeroact.errors import AeroactError
from tests import small_bundle
from tests.small_bundle import METADATA, expected, network, sign

UNIT = {"low": [1.0] * 16, "high": [2.0] * 16}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a bundle as small as can be."""
    return small_bundle.write(tmp_path / "small")


def bounded(bounds: object) -> Emulator:
    return Emulator(network(metadata={**METADATA, "training_bounds": json.dumps(bounds)}))


def sampled(n: int = 20) -> NDArray[np.float32]:
    return states.sample_rows(0, n, 6).astype(np.float32)


# Predicting


def test_a_bundle_predicts_by_mode_in_single_precision(small: Path) -> None:
    fn = open_bundle(small).predict(sampled())
    assert (fn.shape, fn.dtype) == ((20, 4), np.float32)
    np.testing.assert_allclose(fn, expected(sampled()), atol=1e-6)


def test_a_bundle_has_its_card(small: Path) -> None:
    emulator = open_bundle(small)
    assert emulator.card == small_bundle.card()
    assert emulator.metadata["schema_version"] == schema.SCHEMA_VERSION


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.astype(np.float64),
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: x.tolist(),
    ],
    ids=["float64", "columns first", "strided", "list"],
)
def test_states_may_come_in_any_form(
    form: Callable[[NDArray[np.float32]], NDArray[np.float32]], small: Path
) -> None:
    emulator = open_bundle(small)
    np.testing.assert_array_equal(emulator.predict(form(sampled())), emulator.predict(sampled()))


def test_no_states_give_no_fractions(small: Path) -> None:
    assert open_bundle(small).predict(np.empty((0, 16))).shape == (0, 4)


def test_a_row_does_not_depend_on_its_neighbours(small: Path) -> None:
    emulator, x = open_bundle(small), sampled()
    alone = np.concatenate([emulator.predict(row[None]) for row in x])
    np.testing.assert_allclose(alone, emulator.predict(x), atol=1e-6)


def test_a_dataset_gives_a_data_array_whatever_its_units(small: Path) -> None:
    ds = dataset.from_arrays(sampled().astype(np.float64))
    ds["pressure"] = (ds["pressure"] * 100).assign_attrs(units="Pa")
    ds["num_aer"] = (ds["num_aer"] * 1e6).assign_attrs(units="m-3")
    ds["r_aer"] = (ds["r_aer"] * 1e-6).assign_attrs(units="m")
    ds["wbar"] = (ds["wbar"] / 100).assign_attrs(units="m s-1")
    ds = ds.rename(tair="Tair").transpose("nmodes", "nsamples")
    fn = open_bundle(small).predict(ds)
    assert isinstance(fn, xr.DataArray)
    assert (fn.name, fn.dims) == ("fn", ("nsamples", "nmodes"))
    assert (fn.dtype, fn.attrs["units"]) == (np.float32, "1")
    np.testing.assert_allclose(fn.values, expected(sampled()), atol=1e-6)


def test_a_dataset_that_lacks_a_variable_is_an_error_that_names_it(small: Path) -> None:
    ds = dataset.from_arrays(sampled()).drop_vars("rh")
    with pytest.raises(AeroactError, match="variable rh is missing"):
        open_bundle(small).predict(ds)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ask", ["predict", "in_domain"])
def test_a_value_that_is_not_finite_is_refused_with_its_row_and_column(
    bad: float, ask: str, small: Path
) -> None:
    x = sampled()
    x[7, schema.COLUMNS.index("r_aer_coarse")] = bad
    x[9, 0] = bad
    with pytest.raises(AeroactError, match="row 7: r_aer_coarse is not finite"):
        getattr(open_bundle(small), ask)(x)


@pytest.mark.parametrize("shape", [(16,), (5, 15), (5, 17), (2, 5, 16), (16, 5)])
def test_another_shape_is_refused_and_the_columns_are_listed(
    shape: tuple[int, ...], small: Path
) -> None:
    with pytest.raises(AeroactError, match=r"\(n, 16\): tair, pressure, .*kappa_pcarbon") as caught:
        open_bundle(small).predict(np.ones(shape))
    assert str(shape) in str(caught.value)


def test_the_domain_is_that_of_the_training_rows_with_its_edges() -> None:
    x = np.full((5, 16), 1.5)
    x[0] = 1.0
    x[1] = 2.0
    x[2, 15] = 2.001
    x[3, 0] = 0.999
    emulator = bounded(UNIT)
    assert emulator.in_domain(x).tolist() == [True, True, False, False, True]
    assert emulator.bounds[1].tolist() == [2.0] * 16


@pytest.mark.parametrize(
    "bounds", [{}, [1.0], "low", {"low": [1.0], "high": [2.0]}, {"low": ["a"] * 16, "high": [0]}]
)
def test_bounds_that_are_none_are_an_error(bounds: object) -> None:
    with pytest.raises(AeroactError, match=r"its (metadata have no )?training bounds"):
        bounded(bounds).in_domain(sampled())


def test_no_bounds_are_an_error() -> None:
    emulator = Emulator(network(metadata={"schema_version": schema.SCHEMA_VERSION}))
    with pytest.raises(AeroactError, match="no training bounds"):
        emulator.in_domain(sampled())


def test_fractions_are_required_for_extreme_states() -> None:
    require_fractions(Emulator(network()))
    with pytest.raises(AeroactError, match="more than fractions"):
        require_fractions(Emulator(network(activation="Softplus")))


# Verifying


@pytest.mark.parametrize("name", ["emulator.onnx", "card.json", "CARD.md"])
def test_a_changed_file_is_named(name: str, small: Path) -> None:
    small_bundle.flip_a_bit(small / name)
    with pytest.raises(AeroactError, match=rf"small: missing or changed .*: {name}$"):
        open_bundle(small)


def test_every_file_that_is_missing_is_named(small: Path) -> None:
    (small / "emulator.onnx").unlink()
    (small / "CARD.md").unlink()
    with pytest.raises(AeroactError, match=r"missing or changed .*: CARD.md, emulator.onnx$"):
        open_bundle(small)


@pytest.mark.parametrize("name", ["emulator.onnx", "card.json"])
def test_a_file_that_no_sum_vouches_for_is_not_trusted(name: str, small: Path) -> None:
    sums = (small / "SHA256SUMS").read_text().splitlines(keepends=True)
    (small / "SHA256SUMS").write_text("".join(line for line in sums if name not in line))
    with pytest.raises(AeroactError, match=name):
        open_bundle(small)


def test_sums_of_another_kind_are_one_clear_error(small: Path) -> None:
    (small / "SHA256SUMS").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AeroactError, match="small: "):
        open_bundle(small)


def test_what_is_not_a_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(AeroactError, match=r"not an emulator bundle \(SHA256SUMS is missing"):
            open_bundle(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not an ONNX model that can be run"),
        (b"not ONNX", "not an ONNX model that can be run"),
        (network()[:300], "not an ONNX model that can be run"),
        (network(inputs=15), "has inputs and outputs"),
        (network(outputs=3), "has inputs and outputs"),
        (network(names=("x", "fn")), "has inputs and outputs"),
        (network(names=("state", "y")), "has inputs and outputs"),
        (network(metadata={"schema_version": "99"}), "has schema version 99"),
        (network(metadata={}), "has schema version None"),
    ],
    ids=["empty", "text", "torn", "15 in", "3 out", "input", "output", "version", "no version"],
)
def test_a_network_that_is_none_of_ours_is_refused_with_its_file(
    content: bytes, complaint: str, small: Path
) -> None:
    (small / "emulator.onnx").write_bytes(content)
    sign(small)
    with pytest.raises(AeroactError, match=rf"emulator\.onnx: {complaint}"):
        open_bundle(small)


@pytest.mark.parametrize("name", ["../emulator.onnx", "a/b", "/etc/hosts"])
def test_sums_of_files_elsewhere_are_refused(name: str, small: Path) -> None:
    with (small / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(AeroactError, match=rf"SHA256SUMS: names {name}, which is no file of"):
        read_sums(small)


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_a_card_that_is_not_json_is_an_error_with_its_file(text: str, small: Path) -> None:
    (small / "card.json").write_text(text, encoding="latin-1")
    sign(small)
    with pytest.raises(AeroactError, match=r"card\.json"):
        open_bundle(small)


# Without TensorFlow


def test_loading_and_predicting_never_import_tensorflow(small: Path) -> None:
    code = (
        "import sys, pathlib, aeroact, numpy as np\n"
        "from aeroact import states\n"
        "emulator = aeroact.load(pathlib.Path(sys.argv[1]))\n"
        "emulator.predict(np.ones((2, 16))); emulator.predict(states.sample(3, 1))\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, small], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = set(done.stdout.split())
    assert "onnxruntime" in loaded
    assert not {"tensorflow", "keras", "keras_tuner", "tf2onnx", "onnx"} & loaded


# A real one


def test_a_released_bundle_follows_the_parcel_model(bundle: Path, dataset_file: Path) -> None:
    emulator = open_bundle(bundle)
    with dataset.open_dataset(dataset_file) as ds:
        x, truth = dataset.take(ds, np.flatnonzero(dataset.check(ds).usable))
        fn = emulator.predict(x)
        np.testing.assert_array_equal(
            emulator.predict(ds.isel(nsamples=slice(9))).values,
            emulator.predict(dataset.states(ds)[:9]),
        )
    assert (fn.shape, fn.dtype) == (truth.shape, np.float32)
    assert fn.min() >= 0
    assert fn.max() <= 1
    # Better than the best constant, which is what an emulator with mixed columns is not.
    assert ((fn - truth) ** 2).sum() < 0.5 * ((truth - truth.mean(axis=0)) ** 2).sum()
    # Nearly all of the data it was drawn from; only the extremes are in no training row.
    assert emulator.in_domain(x).mean() > 0.9


def test_a_released_bundle_can_be_moved_and_a_bit_of_it_cannot_be_changed(
    bundle: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(bundle, tmp_path / "moved")
    x = sampled()
    np.testing.assert_array_equal(open_bundle(moved).predict(x), open_bundle(bundle).predict(x))
    small_bundle.flip_a_bit(moved / "weights.nc")
    with pytest.raises(AeroactError, match=r"moved: missing or changed .*: weights\.nc$"):
        open_bundle(moved)
