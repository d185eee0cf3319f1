"""Statistics do not depend on how rows are read, and lose nothing on their way to the GCM."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from aeroact.errors import AeroactError
from aeroact.normalization import (
    LOG_KOEHLER,
    LOG_WIDE,
    PLAIN,
    PRESETS,
    Normalization,
    Transform,
    fit,
)
from aeroact.schema import COLUMNS
from aeroact.states import sample_rows

Rows = NDArray[np.float64]
STATISTICS = ("floor", "mean", "std", "low", "high")
presets = st.sampled_from([PLAIN, LOG_WIDE])


def rows(n: int = 300, seed: int = 5) -> Rows:
    return sample_rows(0, n, seed)


def place(column: str) -> int:
    return COLUMNS.index(column)


def transformed(x: Rows, transform: tuple[Transform, ...], floor: NDArray[np.float32]) -> Rows:
    """Return what the z-score sees, a column at a time."""
    columns = [
        np.log(np.maximum(x[:, j], floor[j])) if transform[j] == "log" else x[:, j]
        for j in range(16)
    ]
    return np.stack(columns, axis=1)


def assert_same(a: Normalization, b: Normalization) -> None:
    assert a.transform == b.transform
    for name in STATISTICS:
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name


# Fitting


@given(presets, st.integers(0, 999), st.integers(2, 200), st.lists(st.integers(0, 200), max_size=6))
def test_any_cut_into_blocks_gives_the_statistics_of_everything_at_once(
    transform: tuple[Transform, ...], seed: int, n: int, cuts: list[int]
) -> None:
    x = rows(n, seed)
    # Cuts may coincide, so that some blocks are empty.
    found = fit(iter(np.split(x, sorted(cuts))), transform)
    t = transformed(x, transform, found.floor)
    np.testing.assert_allclose(found.mean, t.mean(axis=0), rtol=2e-7, atol=1e-9)
    # Among few rows some columns are constant: all updrafts at their floor, say.
    std = np.where(np.ptp(t, axis=0) == 0, 1.0, t.std(axis=0, ddof=0))
    np.testing.assert_allclose(found.std, std, rtol=2e-7)
    np.testing.assert_array_equal(found.low, x.min(axis=0).astype(np.float32))
    np.testing.assert_array_equal(found.high, x.max(axis=0).astype(np.float32))


def test_a_large_mean_does_not_cancel_a_small_spread() -> None:
    x = rows()
    x[:, place("pressure")] = 1e6 + np.random.default_rng(1).standard_normal(len(x))
    std = fit(np.split(x, [7, 100]), PLAIN).std[place("pressure")]
    assert std == pytest.approx(x[:, place("pressure")].std(), rel=1e-6)


def test_blocks_of_float32_are_summed_in_float64() -> None:
    x = np.tile(rows(100), (2_000, 1)).astype(np.float32)
    found = fit([x], PLAIN)
    np.testing.assert_allclose(found.mean, x[:100].astype(float).mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(found.std, x[:100].astype(float).std(axis=0), rtol=1e-7)


def test_statistics_are_held_in_the_precision_of_the_graph() -> None:
    found = fit([rows()])
    assert {getattr(found, name).dtype for name in STATISTICS} == {np.dtype(np.float32)}


@given(
    presets,
    st.sampled_from(COLUMNS),
    st.floats(2.0**-10, 2.0**17, width=32),
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
)
def test_a_column_that_never_varies_becomes_zero(
    transform: tuple[Transform, ...], column: str, value: float, lengths: list[int]
) -> None:
    x = rows(sum(lengths))
    x[:, place(column)] = value
    found = fit(np.split(x, np.cumsum(lengths)[:-1]), transform)
    assert found.std[place(column)] == 1.0
    assert np.abs(found.apply(x)[:, place(column)]).max() < 1e-6


def test_a_single_row_has_no_scale() -> None:
    found = fit([rows(1)])
    np.testing.assert_array_equal(found.std, 1.0)


def test_the_smallest_hygroscopicities_still_have_a_scale() -> None:
    x = rows()
    x[:, place("kappa_pcarbon")] *= 1e-9
    z = fit([x], PLAIN).apply(x)[:, place("kappa_pcarbon")]
    assert z.std() == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("blocks", [[], [rows(0)], [rows(0), rows(0)]], ids=["0", "1", "2"])
def test_no_rows_are_an_error(blocks: list[Rows]) -> None:
    with pytest.raises(AeroactError, match="no training rows"):
        fit(blocks)


@pytest.mark.parametrize("transform", [PLAIN, LOG_WIDE], ids=["plain", "log"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["tair", "wbar", "r_aer_coarse", "kappa_pcarbon"])
def test_a_value_that_is_not_finite_is_an_error_that_names_its_column(
    transform: tuple[Transform, ...], value: float, column: str
) -> None:
    x = rows(20)
    x[13, place(column)] = value
    with pytest.raises(AeroactError, match=rf"^{column}: .*not finite"):
        fit(np.split(x, [10]), transform)


@pytest.mark.parametrize("column", ["tair", "pressure", "rh"])
def test_a_logarithm_without_a_floor_is_an_error_that_names_its_column(column: str) -> None:
    transform = tuple("log" if c == column else t for c, t in zip(COLUMNS, PLAIN, strict=True))
    with pytest.raises(AeroactError, match=rf"^{column}: no logarithm"):
        fit([rows()], transform)


# Presets


def test_presets_are_the_papers_z_score_and_the_logarithm_of_what_spans_decades() -> None:
    assert PRESETS == {"zscore": PLAIN, "log": LOG_WIDE, "koehler": LOG_KOEHLER}
    assert set(PLAIN) == {"identity"}
    assert len(PLAIN) == len(LOG_WIDE) == 16
    assert [c for c, t in zip(COLUMNS, LOG_WIDE, strict=True) if t == "log"] == [
        "wbar",
        *(
            f"{name}_{m}"
            for name in ("num_aer", "r_aer")
            for m in ("accum", "aitken", "coarse", "pcarbon")
        ),
        "kappa_pcarbon",
    ]
    more = [c for c, a, b in zip(COLUMNS, LOG_WIDE, LOG_KOEHLER, strict=True) if a != b]
    assert more == ["kappa_accum", "kappa_aitken", "kappa_coarse"]
    assert LOG_KOEHLER.count("log") == 13


def test_the_logarithm_is_the_default() -> None:
    assert_same(fit([rows()]), fit([rows()], LOG_WIDE))


def test_only_logarithms_have_a_floor() -> None:
    assert not fit([rows()], PLAIN).floor.any()
    found = fit([rows()], LOG_WIDE)
    np.testing.assert_array_equal(found.floor > 0, found.is_log)


# Applying


def test_training_rows_become_zero_mean_and_unit_spread() -> None:
    z = fit([rows(2_000)]).apply(rows(2_000))
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-4)


@given(presets, st.integers(0, 999), st.integers(2, 100))
def test_what_is_applied_can_be_inverted(
    transform: tuple[Transform, ...], seed: int, n: int
) -> None:
    x = rows(n, seed)
    found = fit([x], transform)
    z = found.apply(x)
    assert (z.dtype, z.shape) == (np.float32, (n, 16))
    expected = np.where(found.is_log, np.maximum(x, found.floor), x)
    scale = np.where(found.is_log, 0, found.std)
    assert (np.abs(found.invert(z) - expected) <= 2e-6 * (np.abs(expected) + scale)).all()


@given(
    st.sampled_from(COLUMNS), st.lists(st.floats(1e-4, 1e4), min_size=2, max_size=20, unique=True)
)
def test_a_larger_value_never_becomes_a_smaller_input(column: str, values: list[float]) -> None:
    found = fit([rows()])
    x = rows(len(values))
    x[:, place(column)] = sorted(values)
    z = found.apply(x)[:, place(column)]
    assert (np.diff(z) >= 0).all()
    assert z[0] < z[-1] or max(values) - min(values) < 1e-3


@pytest.mark.parametrize("column", [*COLUMNS[3:12], "kappa_pcarbon"])
def test_zero_stays_finite_and_raises_no_floating_point_flag(column: str) -> None:
    x = rows()
    x[7, place(column)] = 0.0
    with np.errstate(all="raise", under="ignore"):
        found = fit([x])
        z = found.apply(x)
    assert np.isfinite(z).all()
    back = found.invert(z)[7, place(column)]
    assert back == pytest.approx(found.floor[place(column)], rel=1e-5)


def test_applying_and_inverting_leave_their_argument_alone() -> None:
    x = rows()
    found = fit([x])
    z = found.apply(x)
    z_before = z.copy()
    found.invert(z)
    np.testing.assert_array_equal(x, rows())
    np.testing.assert_array_equal(z, z_before)


def test_float32_states_give_what_float64_states_give() -> None:
    found = fit([rows()])
    np.testing.assert_allclose(
        found.apply(rows().astype(np.float32)), found.apply(rows()), atol=3e-5
    )


# JSON

float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
positive32 = st.floats(2.0**-100, 2.0**100, width=32)


@given(st.data(), presets)
def test_json_gives_back_every_bit(data: st.DataObject, transform: tuple[Transform, ...]) -> None:
    def draw(elements: st.SearchStrategy[float]) -> NDArray[np.float32]:
        return data.draw(arrays(np.float32, 16, elements=elements))

    low, high = np.sort([draw(float32), draw(float32)], axis=0)
    saved = Normalization(transform, draw(positive32), draw(float32), draw(positive32), low, high)
    assert_same(Normalization.from_json(saved.to_json()), saved)


def test_a_saved_file_gives_back_every_bit(tmp_path: Path) -> None:
    saved = fit([rows()])
    saved.save(tmp_path / "normalization.json")
    assert_same(Normalization.load(tmp_path / "normalization.json"), saved)


def test_json_is_a_readable_record_a_column() -> None:
    records = json.loads(fit([rows()]).to_json())["columns"]
    assert [record["column"] for record in records] == list(COLUMNS)
    assert set(records[0]) == {"column", "transform", *STATISTICS}


def damaged(**changes: object) -> str:
    """Return sound JSON with another value in the record of the updraft."""
    document = json.loads(fit([rows()]).to_json())
    document["columns"][3] |= changes
    return json.dumps(document)


def without(key: str) -> str:
    document = json.loads(damaged())
    del document["columns"][3][key]
    return json.dumps(document)


def reordered() -> str:
    document = json.loads(damaged())
    document["columns"].reverse()
    return json.dumps(document)


DAMAGE = {
    "empty": "",
    "torn": damaged()[:500],
    "a list": "[]",
    "another document": '{"rows": 5}',
    "columns of nothing": '{"columns": {}}',
    "columns of a number": '{"columns": 5}',
    "other order": reordered(),
    "no mean": without("mean"),
    "no transform": without("transform"),
    "text for a number": damaged(mean="warm"),
    "null for a number": damaged(mean=None),
    "list for a number": damaged(mean=[1.0]),
    "mean not finite": damaged(mean=float("nan")),
    "mean too large": damaged(mean=1e300),
    "std of zero": damaged(std=0.0),
    "std below zero": damaged(std=-1.0),
    "unknown transform": damaged(transform="sqrt"),
    "logarithm without a floor": damaged(transform="log", floor=0.0),
}


@pytest.mark.parametrize("text", DAMAGE.values(), ids=DAMAGE)
def test_damaged_json_is_one_clear_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "normalization.json"
    path.write_text(text)
    with pytest.raises(AeroactError) as caught:
        Normalization.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "normalization.json"
    path.write_bytes(b"\x89HDF\r\n\x1a\n\xff\xff")
    with pytest.raises(AeroactError, match=r"normalization\.json: "):
        Normalization.load(path)


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(AeroactError, match=r"missing\.json: cannot read \(No such file"):
        Normalization.load(tmp_path / "missing.json")
