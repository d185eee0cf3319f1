"""Limits: what changes, and that the parcel model is its own perfect emulator there."""

import numpy as np

from aeroact import schema
from aeroact.assess import limits
from aeroact.references import parcel
from aeroact.states import sample_rows

X = sample_rows(0, 12, seed=4)


def test_each_limit_changes_what_it_says_and_nothing_else():
    changed = {name: change(X) for name, change in limits.limits().items()}
    touched = {
        name: {schema.COLUMNS[j] for j in np.flatnonzero((x != X).any(axis=0))}
        for name, x in changed.items()
    }
    assert touched["no aerosol"] == set(schema.NUM_AER.columns)
    assert touched["no Aitken mode"] == {"num_aer_aitken"}
    assert touched["no hygroscopicity"] == set(schema.KAPPA.columns)
    assert touched["no hygroscopicity of the coarse mode"] == {"kappa_coarse"}
    assert touched["an updraft of 1 cm/s"] == {"wbar"}
    assert (changed["an updraft of 1 cm/s"][:, schema.COLUMNS.index("wbar")] == 1.0).all()
    assert len(changed) == 11


def test_the_parcel_model_has_no_error_against_itself():
    for found in limits.measure(lambda x: np.nan_to_num(parcel(x).fn), X):
        assert found.states == len(X)
        assert 0.0 <= found.low <= found.high <= 1.0
        if found.answers:
            assert found.mse is not None
            assert found.mse < 1e-10
            assert found.arg2000 is None or 0 < found.arg2000 < 1
    by_name = {found.name: found for found in limits.measure(lambda x: np.ones((len(x), 4)), X)}
    # Without particles nothing takes up water, and supersaturation has no peak.
    assert (by_name["no aerosol"].answers, by_name["no aerosol"].mse) == (0, None)
    assert by_name["no accumulation mode"].answers > 0
    assert (by_name["no accumulation mode"].mse or 0.0) > 0.01
