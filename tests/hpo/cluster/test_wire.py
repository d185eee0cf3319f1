"""What chief and workers tell each other arrives as it was, to the last bit."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aeroact.hpo import step1, step2
from aeroact.hpo.cluster import wire
from aeroact.hpo.config import Project
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.space import Candidate, Chosen
from aeroact.hpo.step1 import Tried
from aeroact.hpo.step2 import Retrained
from aeroact.hpo.training import History

FOLDER = RunFolder(Path("runs/mine"))

sizes = st.integers(1, 2**40)
rates = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
doubles = st.floats(allow_nan=False)
candidates = st.builds(
    Candidate,
    st.lists(sizes, min_size=1, max_size=40).map(tuple),
    st.none() | rates,
    st.none() | sizes,
)
names = st.integers(0, 10**6).map(lambda k: str(k).zfill(5))
projects = st.builds(
    Project,
    seed=st.integers(0, 2**40),
    p_subset=st.floats(0, 1, exclude_min=True),
    activation=st.sampled_from(["relu", "relu2"]),
    max_layers=st.integers(1, 4),
    epochs=sizes,
    patience=sizes,
    batch_size=sizes,
    learning_rate=rates,
    retrain_epochs=sizes,
    schedule=st.sampled_from(["constant", "cosine", "onecycle"]),
    retrain_learning_rate=st.none() | rates,
    droplet_weight=rates,
    monotony_weight=rates,
    retrain_droplet_weight=st.none() | rates,
    retrain_monotony_weight=st.none() | rates,
)


def sent(message: Any) -> Any:
    """A message as it comes out of the network."""
    return type(message).FromString(message.SerializeToString())


def same(one: object, other: object) -> bool:
    """Whether values are the same to the last bit; unlike ==, that holds for NaN, too."""
    return repr(one) == repr(other)


@given(candidate=candidates, name=names, project=projects, epochs=st.none() | sizes)
def test_a_worker_makes_of_an_assignment_of_step1_the_task_of_the_chief(
    candidate, name, project, epochs
):
    """Also where the algorithm limits the epochs, as Hyperband does."""
    task = step1.task_of(Chosen(name, candidate, epochs), project, FOLDER)
    message = sent(wire.assignment(f"1/{name}/n1-gpu0/0123abcd", task))
    assert message.status == wire.Status.RUNNING
    assert same(wire.task_in(message, project, FOLDER), task)


@given(candidate=candidates, name=names, project=projects)
def test_a_worker_makes_of_an_assignment_of_step2_the_task_of_the_chief(candidate, name, project):
    trial = Trial(
        1,
        name,
        candidate.widths,
        "COMPLETED",
        learning_rate=candidate.learning_rate,
        batch_size=candidate.batch_size,
    )
    task = step2.task_of(trial, project, FOLDER)
    message = sent(wire.assignment(f"2/{name}/n1-gpu0/0123abcd", task))
    assert same(wire.task_in(message, project, FOLDER), task)


@given(first=st.integers(0, 10**6), curve=st.lists(st.tuples(doubles, doubles), max_size=300))
@example(first=3, curve=[(5e-324, 1.7976931348623157e308), (0.1, 1 / 3), (math.inf, -0.0)])
def test_epochs_arrive_in_order_and_as_they_were(first, curve):
    message = sent(wire.epochs_message("1/0/n1/0", first, curve))
    assert message.trial_id == "1/0/n1/0"
    assert message.step == first
    assert same(wire.curve_in(message), curve)


@given(val_mse=st.lists(doubles, max_size=50), seconds=doubles, inference_us=doubles)
def test_a_result_of_step1_arrives_as_it_was_but_for_the_epochs_that_are_known(
    val_mse, seconds, inference_us
):
    message = sent(wire.result_message("1/0/n/0", Tried([], val_mse, seconds, inference_us)))
    assert message.status == wire.Status.COMPLETED
    epochs, result = wire.result_in(message)
    assert epochs == len(val_mse)
    assert type(result) is Tried
    assert same(result, Tried([], [], seconds, inference_us))


modes = st.lists(st.floats(), min_size=4, max_size=4)


@given(
    holdout=st.fixed_dictionaries(
        {
            "rows": sizes,
            "mse": doubles,
            "r2": st.floats(),
            "mse_by_mode": modes,
            "r2_by_mode": modes,
        }
    ),
    seconds=doubles,
)
@example(holdout={"r2": math.nan, "r2_by_mode": [1.0, math.nan, -math.inf, 0.1]}, seconds=0.0)
def test_a_result_of_step2_arrives_with_the_errors_on_the_holdout(holdout, seconds):
    told = Retrained([1.0], [1.0], seconds, holdout)
    epochs, result = wire.result_in(sent(wire.result_message("2/0/n/0", told)))
    assert epochs == 1
    assert type(result) is Retrained
    assert same(result, Retrained([], [], seconds, holdout))


@given(why=st.text(), leaving=st.booleans(), killed=st.booleans())
@example(why="RuntimeError: Gerät 0 — 显存不足 🔥\n\x00", leaving=False, killed=True)
def test_a_reason_arrives_in_any_script(why, leaving, killed):
    status = wire.Status.INVALID if killed else wire.Status.FAILED
    message = sent(wire.reason_message("1/0/n/0", status, why, leaving=leaving))
    assert message.status == status
    assert wire.reason_in(message) == (why, leaving)


def test_a_reason_that_names_a_file_in_no_known_script_arrives():
    """As Python has names of files that are no UTF-8."""
    message = wire.reason_message("1/0/n/0", wire.Status.FAILED, "caf\udce9.nc: no such file")
    why, _ = wire.reason_in(sent(message))
    assert ".nc: no such file" in why


@given(
    st.dictionaries(
        st.text(), st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text()
    )
)
def test_values_of_all_kinds_keep_their_kinds(values):
    message = sent(wire.trial_message("1/0/n/0", wire.Status.RUNNING, values))
    there = wire.values_in(message)
    assert there.keys() == values.keys()
    assert all(same(there[name], values[name]) for name in values)


@pytest.mark.parametrize("kind", [History, Tried, Retrained])
def test_only_the_epochs_travel_apart_from_a_result(kind):
    """What is added to a result is not forgotten on the way."""
    of_history = {"mse", "val_mse", "seconds"}
    message = wire.result_message("1/0/n/0", kind())
    text = wire.values_in(message)["aeroact/result"]
    for name in vars(kind()).keys() - of_history | {"seconds"}:
        assert f'"{name}"' in text
