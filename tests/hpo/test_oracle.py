"""The search algorithms behind one interface: what they choose, and how they are replayed."""

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from aeroact.errors import AeroactError
from aeroact.hpo.backend import load_backend
from aeroact.hpo.config import Project
from aeroact.hpo.space import Candidate, n_params

if TYPE_CHECKING:
    from aeroact.hpo.oracle import SearchOracle
    from aeroact.hpo.space import Chosen

ALGORITHMS = ("random", "hyperband", "bayesian")


@pytest.fixture(scope="module", autouse=True)
def _backend():
    load_backend()


def project(algorithm: str, **settings) -> Project:
    if algorithm == "bayesian":
        # Few dimensions and trials: its random start is soon over, and its proposals are slow.
        widths = tuple(range(8, 72, 4))
        settings = {"trials": 7, "max_layers": 1, "widths": widths, "max_params": 1000} | settings
    settings = {"trials": 20, "max_layers": 3, "max_params": 3000, "epochs": 27} | settings
    return Project(algorithm=algorithm, **settings)


def result(candidate: Candidate) -> list[float]:
    """A validation MSE that falls with the network's size, and with the epochs."""
    return [(1 + 1 / epoch) / n_params(candidate.widths) for epoch in range(1, 5)]


def ask(oracle: "SearchOracle") -> "Chosen":
    trial = oracle.next_trial()
    assert trial is not None
    return trial


def search(oracle: "SearchOracle", n: int) -> "list[Chosen]":
    """Run n trials, one after the other."""
    chosen: list[Chosen] = []
    while len(chosen) < n and (trial := oracle.next_trial()) is not None:
        chosen.append(trial)
        oracle.finish(trial.name, result(trial.candidate))
    return chosen


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_trials_have_numbers_for_names_lie_in_the_space_and_end(algorithm):
    from aeroact.hpo.oracle import oracle_of

    asked = project(algorithm)
    chosen = search(oracle_of(asked), 100)
    assert [int(trial.name) for trial in chosen] == list(range(asked.trials))
    for trial in chosen:
        assert 1 <= len(trial.candidate.widths) <= asked.max_layers
        assert asked.space.allows(trial.candidate)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_heard_in_the_same_order_leads_to_the_same_choice(algorithm):
    """So an interrupted search can be replayed from its record."""
    from aeroact.hpo.oracle import oracle_of

    one, again = (search(oracle_of(project(algorithm)), 20) for _ in range(2))
    assert one == again
    other = search(oracle_of(project(algorithm, seed=2)), 20)
    assert one != other


def test_random_search_does_not_depend_on_results():
    from aeroact.hpo.oracle import oracle_of

    asked = project("random")
    drawn = list(islice(asked.space.draw(asked.seed), 20))
    oracle = oracle_of(asked)
    together = [ask(oracle) for _ in range(20)]
    assert [trial.candidate for trial in together] == drawn
    assert oracle.next_trial() is None
    assert not oracle.waiting


def test_hyperband_gives_epochs_and_promotes_the_best():
    from aeroact.hpo.oracle import oracle_of

    chosen = search(oracle_of(project("hyperband", trials=60)), 60)
    epochs = {trial.epochs for trial in chosen}
    assert epochs == {1, 3, 9, 27}
    first = [trial for trial in chosen if trial.epochs == 1]
    best = max(first, key=lambda trial: n_params(trial.candidate.widths))
    again = [trial.epochs for trial in chosen if trial.candidate == best.candidate]
    assert again[:2] == [1, 3]


def test_bayesian_optimization_learns_what_is_better():
    """After its random start it must propose larger networks, which this target rewards."""
    from aeroact.hpo.oracle import oracle_of

    chosen = search(oracle_of(project("bayesian", trials=8, max_params=None)), 8)
    sizes = [n_params(trial.candidate.widths) for trial in chosen]
    assert min(sizes[6:]) >= sorted(sizes[:6])[3]


def test_a_missing_package_is_named(monkeypatch):
    from keras_tuner.src.tuners import bayesian

    from aeroact.hpo.oracle import oracle_of

    monkeypatch.setattr(bayesian, "sklearn", None)
    with pytest.raises(AeroactError, match=r"pip install 'aeroact\[bayesian\]'"):
        oracle_of(project("bayesian"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_row_of_failures_does_not_end_a_search(algorithm):
    from aeroact.hpo.oracle import oracle_of

    oracle = oracle_of(project(algorithm))
    for _ in range(6):
        trial = ask(oracle)
        oracle.finish(trial.name, [], "no memory")
    assert oracle.next_trial() is not None


def test_an_exhausted_space_ends_the_search(monkeypatch):
    from aeroact.hpo import space
    from aeroact.hpo.oracle import oracle_of

    monkeypatch.setattr(space, "_MAX_DRAWS", 10_000)
    assert len(search(oracle_of(project("random", max_layers=1, trials=50)), 50)) == 5


def test_update_trial_says_stopped_for_a_trial_that_pruning_ends():
    from aeroact.hpo.oracle import oracle_of

    oracle = oracle_of(project("random", prune="median", trials=40))
    good = [0.1 / epoch for epoch in range(1, 31)]
    for _ in range(30):
        oracle.finish(ask(oracle).name, good)
    bad = ask(oracle).name
    oracle.begin(bad)
    statuses = [str(oracle.update_trial(bad, {"val_mse": 0.5}).status) for _ in range(30)]
    assert statuses[0] == "RUNNING"
    assert statuses[-1] == "STOPPED"


def test_a_second_attempt_at_a_trial_is_judged_by_its_own_epochs():
    from aeroact.hpo.oracle import oracle_of

    oracle = oracle_of(project("random", prune="median", trials=40))
    good = [0.1 / epoch for epoch in range(1, 31)]
    for _ in range(30):
        oracle.finish(ask(oracle).name, good)
    name = ask(oracle).name
    for _ in range(2):
        oracle.begin(name)
        statuses = {str(oracle.update_trial(name, {"val_mse": v / 2}).status) for v in good[:20]}
        assert statuses == {"RUNNING"}
