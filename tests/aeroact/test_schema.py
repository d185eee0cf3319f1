"""The schema is a contract with files, networks and Fortran: nothing in it may move."""

from inspect import signature

import numpy as np
import pytest

from aeroact import schema
from aeroact.physics.parcel import simulate


def test_the_state_has_sixteen_columns_in_the_order_of_the_contract() -> None:
    assert (
        *("tair", "pressure", "rh", "wbar"),
        *("num_aer_accum", "num_aer_aitken", "num_aer_coarse", "num_aer_pcarbon"),
        *("r_aer_accum", "r_aer_aitken", "r_aer_coarse", "r_aer_pcarbon"),
        *("kappa_accum", "kappa_aitken", "kappa_coarse", "kappa_pcarbon"),
    ) == schema.COLUMNS
    assert schema.N_INPUTS == 16


def test_the_label_has_a_column_for_each_mode() -> None:
    assert schema.OUTPUTS == ("fn_accum", "fn_aitken", "fn_coarse", "fn_pcarbon")
    assert schema.N_OUTPUTS == 4


def test_modes_have_their_order_and_width() -> None:
    assert dict(zip(schema.MODES, schema.SIGMA_G, strict=True)) == {
        "accum": 1.8,
        "aitken": 1.6,
        "coarse": 1.8,
        "pcarbon": 1.6,
    }
    assert schema.MODES == ("accum", "aitken", "coarse", "pcarbon")


@pytest.mark.parametrize(
    ("name", "units", "per_mode"),
    [
        ("tair", "K", False),
        ("pressure", "hPa", False),
        ("rh", "1", False),
        ("wbar", "cm s-1", False),
        ("num_aer", "cm-3", True),
        ("r_aer", "um", True),
        ("kappa", "1", True),
        ("fn", "1", True),
    ],
)
def test_variables_have_the_units_of_the_contract(name: str, units: str, per_mode: bool) -> None:
    variable = next(v for v in (*schema.INPUTS, schema.FN) if v.name == name)
    assert (variable.units, variable.per_mode) == (units, per_mode)
    assert variable.conversions[units] == 1.0
    assert variable.long_name
    assert len(variable.columns) == (4 if per_mode else 1)


def test_dimensions_have_the_names_of_the_contract() -> None:
    assert (schema.SAMPLE_DIM, schema.MODE_DIM) == ("nsamples", "nmodes")


def test_column_units_are_those_of_their_variables() -> None:
    assert (
        "K",
        "hPa",
        "1",
        "cm s-1",
        *4 * ["cm-3"],
        *4 * ["um"],
        *4 * ["1"],
    ) == schema.COLUMN_UNITS


def test_column_slices_tile_the_state() -> None:
    tiles = [schema.COLUMNS[schema.column_slice(v)] for v in schema.INPUTS]
    assert tiles == [v.columns for v in schema.INPUTS]
    assert sum(tiles, ()) == schema.COLUMNS


def test_every_column_knows_its_variable() -> None:
    assert [schema.variable_of(c).name for c in schema.COLUMNS] == [
        *("tair", "pressure", "rh", "wbar"),
        *4 * ["num_aer"],
        *4 * ["r_aer"],
        *4 * ["kappa"],
    ]


@pytest.mark.parametrize("variable", [*schema.INPUTS, schema.FN], ids=lambda v: v.name)
def test_bounds_are_an_interval_that_holds_no_negative_value(variable: schema.Variable) -> None:
    low, high, _ = variable.bounds
    assert 0 <= low < high


def test_a_state_taken_apart_is_the_arguments_of_the_parcel_model() -> None:
    x = np.arange(48.0).reshape(3, 16)
    parts = schema.split_state(x)
    assert list(parts) == [name for name in signature(simulate).parameters if name in parts]
    assert len(parts) == 7
    np.testing.assert_array_equal(parts["wbar"], x[:, 3])
    np.testing.assert_array_equal(parts["r_aer"], x[:, 8:12])
    whole = np.concatenate([part.reshape(3, -1) for part in parts.values()], axis=1)
    np.testing.assert_array_equal(whole, x)
