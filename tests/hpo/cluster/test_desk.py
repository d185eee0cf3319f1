"""Who gets which trial, when it is lost, and whose failure counts: by hand, and at random."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aeroact.hpo import attempts
from aeroact.hpo.attempts import Task
from aeroact.hpo.backend import load_backend
from aeroact.hpo.cluster.desk import GRACE, LEASE, Answer, Desk, GapError, Lease
from aeroact.hpo.cluster.roster import Roster
from aeroact.hpo.config import Project
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.space import Candidate
from aeroact.hpo.training import History, Recipe
from aeroact.hpo.watcher import Watcher
from aeroact.hpo.workers import Listener, Outcome

RECIPE = Recipe(epochs=4, patience=None, batch_size=64, learning_rate=1e-3)


def task(name: str | int, step: int = 1) -> Task:
    return Task(step, str(name), Candidate((8,)), [1], RECIPE, 0.5, RunFolder(Path("run")))


def tasks(*names: str | int, step: int = 1) -> list[Task]:
    return [task(name, step) for name in names]


def curve_of(name: str) -> list[tuple[float, float]]:
    """MSE and validation MSE of each epoch: 1 to 4 of them, different for each trial."""
    return [(int(name) + epoch / 10, int(name) + epoch / 7) for epoch in range(1 + int(name) % 4)]


class Scene:
    """A desk whose clock is ours; it is looked at before each call, as the chief does."""

    def __init__(
        self,
        new: Iterable[Task | None] = (),
        begun: Sequence[Task] = (),
        grace: float = 0.0,
        roster: Roster | None = None,
        now: float = 1000.0,
    ) -> None:
        self.roster, self.now = roster or Roster(LEASE), now
        self.given: list[str] = []
        self.began: list[tuple[str, int]] = []
        self.reported: list[tuple[str, tuple[float, float]]] = []
        self.stop: set[str] = set()
        self.outcomes: dict[str, Outcome[Task, History]] = {}
        listener = Listener(
            given=lambda task: self.given.append(task.name),
            began=lambda task, worker: self.began.append((task.name, worker)),
            reported=self._hear,
        )
        self.desk = Desk(begun, iter(new), listener, self.roster, now, grace)

    def _hear(self, task: Task, errors: tuple[float, float]) -> bool:
        self.reported.append((task.name, errors))
        return task.name in self.stop

    def _note(self, outcome: Outcome[Task, History] | None) -> None:
        if outcome is not None:
            assert outcome.task.name not in self.outcomes
            self.outcomes[outcome.task.name] = outcome

    def tick(self) -> None:
        for outcome in self.desk.tick(self.now, self.now):
            self._note(outcome)

    def wait(self, seconds: float, *present: str) -> None:
        """Let time pass; who is present asks for something all the while."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 5, end)
            for worker in present:
                assert not isinstance(self.ask(worker), Lease)
            self.tick()

    def ask(self, worker: str) -> Lease | Answer:
        self.tick()
        return self.desk.ask(worker, self.now, self.now)

    def lease(self, worker: str, name: str | int | None = None) -> str:
        """Ask for a trial, which must be there; returns what it is called."""
        lease = self.ask(worker)
        assert isinstance(lease, Lease)
        assert name is None or lease.task.name == str(name)
        return lease.name

    def report(
        self, lease: str, first: int = 0, curve: Sequence[tuple[float, float]] = ()
    ) -> Answer:
        self.tick()
        return self.desk.report(lease, first, curve, self.now, self.now)

    def complete(self, lease: str) -> Outcome[Task, History] | None:
        """Tell all epochs of a trial, and that it is done."""
        curve = curve_of(lease.split("/")[1])
        self.report(lease, 0, curve)
        outcome = self.desk.complete(lease, len(curve), History(seconds=2.0), self.now, self.now)
        self._note(outcome)
        return outcome

    def fail(
        self, lease: str, why: str = "it broke", *, killed: bool = False
    ) -> Outcome[Task, History] | None:
        self.tick()
        outcome = self.desk.fail(lease, why, self.now, self.now, killed=killed)
        self._note(outcome)
        return outcome

    def failures(self) -> dict[str, str]:
        return {name: o.message for name, o in self.outcomes.items() if o.result is None}


# Trials and leases


@pytest.mark.parametrize("n_workers", [1, 2, 5, 30])
def test_every_trial_is_done_once(n_workers):
    held: dict[str, str] = {}
    scene = Scene(tasks(*range(12)))
    while not scene.desk.finished:
        for worker in map(str, range(n_workers)):
            if worker in held:
                scene.complete(held.pop(worker))
            elif isinstance(lease := scene.ask(worker), Lease):
                held[worker] = lease.name
        scene.now += 1
    assert scene.given == list(scene.outcomes) == [str(k) for k in range(12)]
    assert [name for name, _ in scene.began] == scene.given


def test_an_outcome_has_the_whole_curve_its_worker_and_its_times():
    scene = Scene(tasks(1, 3))
    scene.lease("a", 1)
    lease = scene.lease("b", 3)
    scene.now += 9
    outcome = scene.complete(lease)
    assert outcome is not None
    assert outcome.result is not None
    assert list(zip(outcome.result.mse, outcome.result.val_mse, strict=True)) == curve_of("3")
    assert (outcome.worker, outcome.result.seconds, outcome.message) == (1, 2.0, "")
    assert outcome.ended - outcome.started == 9


def test_epochs_told_twice_count_once():
    scene, curve = Scene(tasks(3)), curve_of("3")
    lease = scene.lease("a")
    scene.report(lease, 0, curve[:2])
    scene.report(lease, 0, curve[:2])
    scene.report(lease, 1, curve[1:])
    scene.report(lease)
    scene.complete(lease)
    assert scene.reported == [("3", errors) for errors in curve]


def test_epochs_that_are_missing_are_asked_for():
    scene, curve = Scene(tasks(3)), curve_of("3")
    lease = scene.lease("a")
    scene.report(lease, 0, curve[:1])
    with pytest.raises(GapError) as gap:
        scene.report(lease, 2, curve[2:])
    assert gap.value.known == 1
    with pytest.raises(GapError) as gap:
        scene.desk.complete(lease, 4, History(), scene.now, scene.now)
    assert gap.value.known == 1
    assert scene.complete(lease)


def test_a_pruned_trial_is_told_to_stop_until_it_does():
    scene = Scene(tasks(3))
    lease = scene.lease("a")
    assert scene.report(lease, 0, curve_of("3")[:1]) == Answer.GO_ON
    scene.stop.add("3")
    assert scene.report(lease, 1, curve_of("3")[1:2]) == Answer.STOP
    scene.stop.clear()
    assert scene.report(lease) == Answer.STOP
    assert scene.report(lease, 2, curve_of("3")[2:3]) == Answer.STOP


def test_a_trial_whose_worker_is_silent_is_given_to_another_and_its_first_holder_lets_go():
    scene = Scene(tasks(3))
    old = scene.lease("a")
    scene.wait(LEASE, "b")
    assert scene.ask("b") == Answer.WAIT
    scene.now += 1
    new = scene.lease("b", 3)
    assert scene.report(old, 0, curve_of("3")[:1]) == Answer.LET_GO
    assert scene.complete(old) is None
    assert scene.fail(old) is None
    assert scene.report(new, 0, curve_of("3")[:1]) == Answer.GO_ON
    assert scene.complete(new)
    assert scene.given == ["3"]
    assert scene.began == [("3", 0), ("3", 1)]


def test_a_sign_of_life_is_enough_to_keep_a_trial():
    scene = Scene(tasks(3))
    lease = scene.lease("a")
    for _ in range(10):
        scene.now += LEASE
        assert scene.report(lease) == Answer.GO_ON
    assert scene.ask("b") == Answer.WAIT


def test_a_lost_trial_that_nobody_else_has_is_kept_but_told_again():
    scene = Scene(tasks(3))
    lease = scene.lease("a")
    scene.report(lease, 0, curve_of("3")[:2])
    scene.now += LEASE + 1
    with pytest.raises(GapError) as gap:
        scene.report(lease, 2, curve_of("3")[2:3])
    assert gap.value.known == 0
    assert scene.ask("b") == Answer.WAIT
    outcome = scene.complete(lease)
    assert outcome is not None
    assert outcome.result is not None
    assert len(outcome.result.mse) == 4


def test_a_trial_that_three_workers_took_with_them_has_failed():
    scene = Scene(tasks(3))
    for worker in "abc":
        assert not scene.desk.finished
        scene.lease(worker, 3)
        scene.now += LEASE + 1
        scene.tick()
    assert scene.failures() == {
        "3": f"worker c was not heard of for {LEASE:.0f} s, the last of 3 times"
    }
    assert scene.desk.finished


def test_time_in_which_the_chief_did_not_listen_costs_nobody_a_trial():
    scene = Scene(tasks(3))
    lease = scene.lease("a")
    scene.now += 10 * LEASE
    for listener in (scene.desk, scene.roster):
        listener.pardon(10 * LEASE)
    assert scene.ask("b") == Answer.WAIT
    assert scene.report(lease) == Answer.GO_ON


def test_a_result_told_twice_counts_once():
    scene = Scene(tasks(1, 3))
    lease = scene.lease("a")
    assert scene.complete(lease)
    assert scene.complete(lease) is None
    assert scene.report(lease) == Answer.LET_GO
    assert scene.roster.member("a").done == 1


def test_what_a_worker_gives_back_is_the_next_that_is_given():
    scene = Scene(tasks(1, 3))
    lease = scene.lease("a", 1)
    scene.desk.give_back(lease)
    scene.desk.give_back(lease)
    scene.roster.left("a", "told to go")
    assert [m.name for m in scene.roster.present(scene.now)] == []
    scene.complete(scene.lease("b", 1))
    scene.complete(scene.lease("b", 3))
    assert scene.desk.finished
    assert scene.given == ["1", "3"]


def test_giving_back_costs_a_trial_none_of_its_attempts():
    scene = Scene(tasks(3))
    for worker in "abcdef":
        scene.desk.give_back(scene.lease(worker, 3))
        scene.roster.left(worker, "told to go")
    assert scene.complete(scene.lease("g"))


def test_a_worker_that_has_left_and_comes_back_is_given_trials():
    scene = Scene(tasks(1, 3))
    scene.desk.give_back(scene.lease("a"))
    scene.roster.left("a", "told to go")
    scene.complete(scene.lease("a", 1))
    assert [m.name for m in scene.roster.present(scene.now)] == ["a"]


# Failures


def test_a_failure_that_a_second_worker_confirms_counts():
    scene = Scene(tasks(1, 3))
    scene.lease("b", 1)
    lease = scene.lease("a", 3)
    assert scene.fail(lease, "a fails") is None
    assert scene.ask("a") == Answer.WAIT
    assert scene.fail(scene.lease("b", 3), "b fails")
    assert scene.failures() == {"3": "b fails"}


def test_a_failure_that_a_second_worker_refutes_does_not_count():
    scene = Scene(tasks(1, 3))
    scene.lease("b", 1)
    scene.fail(scene.lease("a", 3))
    outcome = scene.complete(scene.lease("b", 3))
    assert outcome is not None
    assert outcome.worker == 0
    assert scene.failures() == {}
    assert scene.roster.member("a").refuted == 1


def test_the_failure_of_the_only_worker_counts_at_once():
    scene = Scene(tasks(1, 3))
    assert scene.fail(scene.lease("a"), "it diverged")
    assert scene.failures() == {"1": "it diverged"}
    scene.complete(scene.lease("a", 3))
    assert scene.desk.finished


def test_a_second_opinion_is_of_worth_only_with_somebody_who_ever_succeeded():
    """Two who fail at everything need a third; the third failure counts, whoever says so."""
    scene = Scene(tasks(1, 3))
    scene.lease("c", 1)
    for worker in "ab":
        assert scene.fail(scene.lease(worker, 3)) is None
    assert scene.fail(scene.lease("c", 3))


def test_a_worker_all_of_whose_failures_are_refuted_is_put_aside():
    scene = Scene(tasks(*range(10)))
    for k in range(3):
        scene.ask("good")
        scene.fail(scene.lease("bad"), f"CUDA error {k}")
        for lease in list(scene.desk.leases):
            scene.complete(lease)
        scene.complete(scene.lease("good"))
    assert scene.roster.member("bad").aside == (
        "3 trials in a row failed here and went well elsewhere, the last one on good: CUDA error 2"
    )
    assert scene.ask("bad") == Answer.LEAVE
    assert [member.name for member in scene.roster.present(scene.now)] == ["good"]
    while not scene.desk.finished:
        scene.complete(scene.lease("good"))
    assert scene.failures() == {}
    assert len(scene.outcomes) == 10


def test_a_success_in_between_keeps_a_worker():
    scene = Scene(tasks(*range(20)))
    for _ in range(5):
        scene.ask("good")
        scene.fail(scene.lease("unlucky"))
        for lease in list(scene.desk.leases):
            scene.complete(lease)
        scene.complete(scene.lease("good"))
        scene.complete(scene.lease("unlucky"))
    assert scene.roster.member("unlucky").aside == ""


def test_what_a_worker_had_when_it_was_put_aside_it_may_finish():
    scene = Scene(tasks(*range(10)))
    scene.ask("good")
    kept = scene.lease("bad")
    for lease in [scene.lease("bad") for _ in range(3)]:
        scene.fail(lease)
        scene.complete(scene.lease("good"))
    assert scene.ask("bad") == Answer.LEAVE
    assert scene.report(kept) == Answer.GO_ON
    assert scene.complete(kept)


def test_a_worker_in_doubt_gets_nothing_new_until_others_have_looked():
    scene = Scene(tasks(*range(10)))
    busy, other = scene.lease("good", 0), scene.lease("other", 1)
    for name in (2, 3, 4):
        scene.fail(scene.lease("doubtful", name))
    assert scene.ask("doubtful") == Answer.WAIT
    # Nor what another gives back.
    scene.desk.give_back(other)
    scene.roster.left("other", "told to go")
    assert scene.ask("doubtful") == Answer.WAIT
    scene.complete(busy)
    scene.complete(scene.lease("good", 1))
    scene.complete(scene.lease("good", 4))
    scene.complete(scene.lease("doubtful", 5))


def test_a_worker_in_doubt_may_confirm_the_failures_of_others():
    scene = Scene(tasks(*range(10)))
    for _ in range(3):
        scene.ask("b")
        scene.fail(scene.lease("a"))
    other = next(lease for lease in scene.desk.leases if "/b/" in lease)
    assert scene.ask("a") == Answer.WAIT
    scene.fail(other)
    assert scene.lease("a").split("/")[1] == other.split("/")[1]


def test_two_workers_in_doubt_do_not_wait_for_each_other_for_ever():
    """Where everything fails everywhere, all fails, and nobody is put aside."""
    scene = Scene(tasks(*range(12)))
    for step in range(100):
        for worker in "ab":
            if isinstance(lease := scene.ask(worker), Lease):
                scene.fail(lease.name, f"no good ({step})")
        scene.now += 1
    assert len(scene.failures()) == 12
    assert scene.desk.finished
    assert not any(member.aside or member.unconfirmed for member in scene.roster)


@pytest.mark.parametrize("n_workers", [1, 2, 3, 7])
def test_failures_of_a_hopeless_space_put_nobody_aside(n_workers):
    held: dict[str, str] = {}
    scene = Scene(tasks(*range(20)))
    for _ in range(200):
        for worker in map(str, range(n_workers)):
            if worker in held:
                scene.fail(held.pop(worker), "the loss became nan")
            elif isinstance(lease := scene.ask(worker), Lease):
                held[worker] = lease.name
        scene.now += 1
    assert scene.desk.finished
    assert len(scene.failures()) == 20
    assert not any(member.aside for member in scene.roster)
    assert all(count <= 3 for count in Counter(name for name, _ in scene.began).values())


def test_when_all_who_are_there_have_failed_at_a_trial_it_has_failed():
    scene = Scene(tasks(1, 3))
    scene.lease("b", 1)
    scene.fail(scene.lease("a", 3), "a fails")
    scene.wait(LEASE - 1, "a")
    assert scene.failures() == {}
    scene.now += 2
    scene.tick()
    assert scene.failures() == {"3": "a fails"}
    assert scene.lease("a", 1)


def test_a_failure_waits_while_nobody_is_there():
    scene = Scene(tasks(1, 3))
    scene.lease("b", 1)
    scene.fail(scene.lease("a", 3))
    scene.now += 100 * LEASE
    scene.tick()
    assert scene.failures() == {}
    scene.complete(scene.lease("c", 1))
    scene.complete(scene.lease("c", 3))
    assert scene.desk.finished


def test_a_worker_that_is_put_aside_is_not_believed_for_want_of_others():
    scene = Scene(tasks(*range(10)))
    scene.ask("good")
    last = scene.lease("bad")
    for lease in [scene.lease("bad") for _ in range(3)]:
        scene.fail(lease)
        scene.complete(scene.lease("good"))
    assert scene.roster.member("bad").aside
    for _ in range(20):
        scene.now += 2
        scene.report(last)
    assert scene.roster.present(scene.now) == []
    assert scene.fail(last) is None
    name = last.split("/")[1]
    scene.complete(next(lease for lease in iter(lambda: scene.lease("good"), "") if name in lease))
    assert scene.failures() == {}


def test_a_worker_that_is_alone_tries_three_times_what_killed_its_process():
    scene = Scene(tasks(1, 3))
    for _ in range(2):
        assert scene.fail(scene.lease("a", 1), "killed by SIGKILL", killed=True) is None
    assert scene.fail(scene.lease("a", 1), "killed by SIGKILL", killed=True)
    assert scene.failures() == {"1": "killed by SIGKILL"}
    scene.complete(scene.lease("a", 3))


def test_what_killed_a_process_is_given_to_another_worker():
    scene = Scene(tasks(1, 3))
    scene.complete(scene.lease("b", 1))
    assert scene.fail(scene.lease("a", 3), "killed", killed=True) is None
    assert scene.ask("a") == Answer.WAIT
    assert scene.fail(scene.lease("b", 3), "killed, too", killed=True)
    assert scene.failures() == {"3": "killed, too"}


def test_a_failure_told_twice_counts_once():
    """The chief's answer was lost: the worker tells it again."""
    scene = Scene(tasks(1, 3))
    scene.lease("b", 1)
    lease = scene.lease("a", 3)
    for _ in range(2):
        assert scene.fail(lease) is None
    assert scene.roster.member("a").failed == 1
    assert [name for name, _ in scene.began] == ["1", "3"]


def test_the_death_of_a_process_told_twice_costs_one_attempt():
    scene = Scene(tasks(3))
    lease = scene.lease("a")
    for _ in range(3):
        assert scene.fail(lease, killed=True) is None
    assert scene.complete(scene.lease("a"))


def test_a_report_that_comes_late_does_not_take_back_what_was_given_back():
    scene = Scene(tasks(3))
    lease = scene.lease("a")
    scene.desk.give_back(lease)
    scene.roster.left("a", "told to go")
    assert scene.report(lease) == Answer.LET_GO
    assert scene.lease("b", 3)


# The end


def test_a_desk_without_trials_is_finished():
    assert Scene().desk.finished


def test_a_desk_is_not_finished_before_its_last_result():
    scene = Scene(tasks(1))
    assert not scene.desk.finished
    lease = scene.lease("a", 1)
    assert not scene.desk.finished
    scene.complete(lease)
    assert scene.desk.finished


def test_trials_that_wait_for_results_come_when_these_are_there():
    """None from the iterator: there is none yet."""
    results: list[str] = []

    def rounds() -> Iterator[Task | None]:
        yield from tasks(1, 2)
        while len(results) < 2:
            yield None
        yield task(3)

    scene = Scene(rounds())
    first, second = scene.lease("a", 1), scene.lease("b", 2)
    assert scene.ask("c") == Answer.WAIT
    for lease in (first, second):
        assert scene.ask("c") == Answer.WAIT
        assert not scene.desk.finished
        scene.complete(lease)
        results.append(lease)
    assert not scene.desk.finished
    scene.complete(scene.lease("c", 3))
    assert scene.desk.finished


def test_what_waits_for_results_while_none_is_to_come_ends():
    assert Scene([None, *tasks(1)]).desk.finished
    scene = Scene([*tasks(1), None, *tasks(2)])
    scene.complete(scene.lease("a", 1))
    assert scene.desk.finished


def test_the_workers_and_what_is_thought_of_them_outlast_a_step():
    first = Scene(tasks(*range(10)))
    for _ in range(3):
        first.ask("good")
        first.fail(first.lease("bad"))
        for lease in list(first.desk.leases):
            first.complete(lease)
        first.complete(first.lease("good"))
    second = Scene(tasks(1, 2, step=2), roster=first.roster, now=first.now)
    assert second.ask("bad") == Answer.LEAVE
    assert second.lease("good", 1).startswith("2/1/good/")


# Another chief


def test_what_was_begun_is_kept_for_those_who_work_on_it():
    before = Scene(tasks(1, 3, 5))
    held = before.lease("a", 1)
    before.report(held, 0, curve_of("1")[:1])
    scene = Scene(tasks(3, 5), begun=tasks(1), grace=GRACE)
    # Who is new gets what is new.
    assert scene.lease("b", 3)
    scene.now += GRACE - 1
    assert scene.lease("b", 5)
    assert scene.ask("b") == Answer.WAIT
    with pytest.raises(GapError) as gap:
        scene.report(held, 1, curve_of("1")[1:])
    assert gap.value.known == 0
    scene.now += 10
    assert scene.ask("b") == Answer.WAIT
    assert scene.complete(held)
    assert scene.given == ["3", "5", "1"]


def test_what_was_begun_and_nobody_speaks_of_is_given_to_others():
    scene = Scene(tasks(3), begun=tasks(1), grace=GRACE)
    scene.lease("b", 3)
    scene.now += GRACE + 1
    new = scene.lease("b", 1)
    assert scene.report("1/1/a/0123abcd") == Answer.LET_GO
    assert scene.complete(new)


def test_after_a_chief_that_was_killed_a_result_counts_though_the_trial_was_never_spoken_of():
    scene = Scene(begun=tasks(3), grace=GRACE)
    lease = "1/3/a/0123abcd"
    with pytest.raises(GapError):
        scene.desk.complete(lease, 4, History(), scene.now, scene.now)
    assert scene.complete(lease)
    assert scene.complete(lease) is None
    assert scene.desk.finished


def test_without_another_chief_before_what_was_begun_comes_first():
    scene = Scene(tasks(3), begun=tasks(1))
    scene.lease("a", 1)
    scene.lease("a", 3)


def test_a_trial_of_the_other_step_is_none_of_this_ones():
    scene = Scene(begun=tasks(3, step=2), grace=GRACE)
    assert scene.report("1/3/a/0123abcd") == Answer.LET_GO
    assert scene.report("2/3/a/0123abcd") == Answer.GO_ON


def test_a_pruned_trial_that_another_takes_over_is_trained_to_its_own_end(tmp_path):
    """Its first worker is lost between the word to stop and its last word."""

    class Crew:
        def run(self, begun, tasks, listener, timeout):
            roster, now = Roster(LEASE), 0.0
            desk = Desk(begun, tasks, listener, roster, now)
            first = desk.ask("a", now, now)
            assert isinstance(first, Lease)
            for epoch, errors in enumerate(curve_of("3")[:3]):
                told = desk.report(first.name, epoch, [errors], now, now)
            assert told == Answer.STOP
            now += LEASE + 1
            assert desk.tick(now, now) == []
            second = desk.ask("b", now, now)
            assert isinstance(second, Lease)
            for epoch, errors in enumerate(curve_of("3")):
                if desk.report(second.name, epoch, [errors], now, now) == Answer.STOP:
                    break
            yield desk.complete(second.name, epoch + 1, History(), now, now)

    curves: dict[str, list[float]] = {}

    def begin(name: str) -> None:
        curves[name] = []

    def third_epoch(name: str, val_mse: float) -> bool:
        curves[name].append(val_mse)
        return len(curves[name]) == 3

    trained = attempts.run(
        [],
        iter(tasks(3)),
        Project(),
        RunFolder(tmp_path),
        Crew(),
        Watcher(),
        began=begin,
        epoch=third_epoch,
    )
    ((trial, _),) = list(trained)
    assert trial.status == "PRUNED"
    assert len(trial.val_mse) == 3


def test_an_oracle_judges_a_trial_that_another_takes_over_anew():
    load_backend()
    from aeroact.hpo.oracle import oracle_of

    oracle = oracle_of(Project(trials=9, epochs=20, prune="median", max_layers=2))
    trials = [oracle.next_trial() for _ in range(9)]
    for trial in trials[:8]:
        assert trial is not None
        oracle.finish(trial.name, [1.0] * 20)
    assert trials[8] is not None
    name = trials[8].name
    for _ in range(2):
        oracle.begin(name)
        told = [str(oracle.update_trial(name, {"val_mse": 2.0}).status) for _ in range(2)]
        assert told == ["RUNNING", "STOPPED"]


# Anything, in any order


@dataclass
class Held:
    """A trial in a worker's hands, as the worker sees it."""

    lease: str
    trained: int = 0
    told: int = 0

    @property
    def trial(self) -> str:
        return self.lease.split("/")[1]


@dataclass
class Colleague:
    """A worker; a bad one fails at everything."""

    name: str
    bad: bool
    slots: int
    silent: bool = False
    dismissed: bool = False
    held: list[Held] = field(default_factory=list)


class Searches(RuleBasedStateMachine):
    """A search with one good worker, who is always there, and others of all kinds.

    A trial may be lost with a silent worker twice, not thrice, and at most two workers are bad:
    the third loss and the third failure count by the rules, whoever is to blame.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene()
        self.names: list[str] = []
        self.outcomes: dict[str, Outcome[Task, History]] = {}
        self.journal: list[str] = []
        self.losses: Counter[str] = Counter()
        self.workers: list[Colleague] = []

    @initialize(
        n=st.integers(1, 9),
        bad=st.lists(st.integers(1, 3), max_size=2),
        good=st.lists(st.integers(1, 3), max_size=2),
        slots=st.integers(1, 2),
    )
    def begin(self, n: int, bad: list[int], good: list[int], slots: int) -> None:
        self.names = [str(k) for k in range(n)]
        self.workers = [Colleague("anchor", False, slots)]
        self.workers += [Colleague(f"bad{k}", True, s) for k, s in enumerate(bad)]
        self.workers += [Colleague(f"good{k}", False, s) for k, s in enumerate(good)]
        self._new_chief(grace=0.0)
        self._ask(self.workers[0])

    def _new_chief(self, grace: float) -> None:
        begun = [task(name) for name in self.journal if name not in self.outcomes]
        new = [name for name in self.names if name not in self.journal]

        def rounds() -> Iterator[Task | None]:
            """Four at a time; the next ones when the results of these are there."""
            for name in new:
                before = self.names[: int(name) // 4 * 4]
                while not set(before) <= self.outcomes.keys():
                    yield None
                yield task(name)

        self.scene = Scene(rounds(), begun, grace, now=self.scene.now)
        self.scene.outcomes = self.outcomes
        self._note_given()

    def _note_given(self) -> None:
        self.journal += [name for name in self.scene.given if name not in self.journal]

    def _awake(self) -> list[Colleague]:
        return [w for w in self.workers if not (w.silent or w.dismissed)]

    def _may_be_lost(self, worker: Colleague) -> bool:
        """Whether a worker may fall silent, and its trials be lost with it."""
        return worker.name != "anchor" and all(self.losses[h.trial] < 2 for h in worker.held)

    def _ask(self, worker: Colleague) -> None:
        if len(worker.held) == worker.slots:
            return
        answer = self.scene.ask(worker.name)
        if isinstance(answer, Lease):
            worker.held.append(Held(answer.name))
        elif answer == Answer.LEAVE:
            assert worker.bad
            worker.dismissed = not worker.held
        self._note_given()

    def _tell(self, worker: Colleague, held: Held) -> bool:
        """Report what the chief does not know; returns whether the trial is still ours."""
        curve = curve_of(held.trial)
        while True:
            try:
                told = self.scene.report(held.lease, held.told, curve[held.told : held.trained])
            except GapError as gap:
                held.told = gap.known
                continue
            held.told = held.trained
            if told == Answer.LET_GO:
                worker.held.remove(held)
                return False
            assert told == Answer.GO_ON
            return True

    def _beat(self, worker: Colleague) -> None:
        for held in list(worker.held):
            self._tell(worker, held)
        self._note_given()

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        self._ask(data.draw(st.sampled_from(self._awake())))

    @rule(data=st.data())
    def report(self, data: st.DataObject) -> None:
        self._beat(data.draw(st.sampled_from(self._awake())))

    @precondition(lambda self: any(w.held for w in self.workers))
    @rule(data=st.data())
    def train(self, data: st.DataObject) -> None:
        """One epoch more, of which the chief need not hear yet; the silent train on, too."""
        worker = data.draw(st.sampled_from([w for w in self.workers if w.held]))
        held = data.draw(st.sampled_from(worker.held))
        held.trained = min(held.trained + 1, len(curve_of(held.trial)))

    @precondition(lambda self: any(w.held for w in self._awake()))
    @rule(data=st.data(), killed=st.booleans(), again=st.booleans())
    def end(self, data: st.DataObject, killed: bool, again: bool) -> None:
        """Complete a trial or fail at it; tell it again if the answer was lost."""
        worker = data.draw(st.sampled_from([w for w in self._awake() if w.held]))
        held = data.draw(st.sampled_from(worker.held))
        self._end(worker, held, killed, again)

    def _end(
        self, worker: Colleague, held: Held, killed: bool = False, again: bool = False
    ) -> None:
        if not worker.bad:
            held.trained = len(curve_of(held.trial))
        if not self._tell(worker, held):
            return
        for _ in range(1 + again):
            if worker.bad:
                self.scene.fail(held.lease, killed=killed)
            else:
                self.scene.complete(held.lease)
        worker.held.remove(held)
        self._note_given()

    @rule(data=st.data())
    def fall_silent(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(self._awake()))
        if self._may_be_lost(worker):
            worker.silent = True
            self.losses.update(held.trial for held in worker.held)

    @precondition(lambda self: any(w.silent for w in self.workers))
    @rule(data=st.data(), forgetful=st.booleans())
    def come_back(self, data: st.DataObject, forgetful: bool) -> None:
        """Be heard again; one that was started anew knows nothing of its trials."""
        worker = data.draw(st.sampled_from([w for w in self.workers if w.silent]))
        worker.silent = False
        if forgetful:
            worker.held.clear()
        self._beat(worker)

    @rule(data=st.data())
    def lose_the_answer(self, data: st.DataObject) -> None:
        """A trial is given, but its worker does not hear of it."""
        worker = data.draw(st.sampled_from(self._awake()))
        before = set(self.scene.desk.leases)
        if all(self.losses[name] < 2 for name in self.names):
            self.scene.ask(worker.name)
            new = self.scene.desk.leases.keys() - before
            self.losses.update(name.split("/")[1] for name in new)
            self._note_given()

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Give everything back; who is asked again later has come back."""
        worker = data.draw(st.sampled_from(self._awake()))
        if worker.name != "anchor":
            self._leave(worker)

    def _leave(self, worker: Colleague) -> None:
        self.scene.tick()
        for held in worker.held:
            self.scene.desk.give_back(held.lease)
        worker.held.clear()
        self.scene.roster.left(worker.name, "told to go")

    @rule(seconds=st.sampled_from([1.0, 9.0, 20.0, 31.0, 65.0]))
    def let_time_pass(self, seconds: float) -> None:
        """Who is awake says so all the while; the good one wants work, if it has none."""
        end = self.scene.now + seconds
        while self.scene.now < end:
            self.scene.now = min(self.scene.now + 8, end)
            for worker in self._awake():
                self._beat(worker)
                if worker.name == "anchor" or not worker.held:
                    self._ask(worker)

    @rule(seconds=st.sampled_from([10.0, 100.0]))
    def not_listen(self, seconds: float) -> None:
        """The chief itself is held up, and knows it."""
        self.scene.now += seconds
        self.scene.desk.pardon(seconds)
        self.scene.roster.pardon(seconds)

    @rule()
    def restart_the_chief(self) -> None:
        for worker in self.workers:
            worker.dismissed = False
        self._new_chief(GRACE)
        self._beat(self.workers[0])
        self._ask(self.workers[0])

    @invariant()
    def nothing_has_failed_for_want_of_a_good_worker(self) -> None:
        assert self.scene.failures() == {}
        assert not any(m.aside for m in self.scene.roster if not m.name.startswith("bad"))

    @invariant()
    def what_is_done_is_whole(self) -> None:
        for name, outcome in self.outcomes.items():
            result = outcome.result
            assert result is not None
            assert list(zip(result.mse, result.val_mse, strict=True)) == curve_of(name)

    @invariant()
    def a_trial_is_in_one_place(self) -> None:
        out = [lease.task.name for lease in self.scene.desk.leases.values()]
        assert len(out) == len(set(out))
        assert not set(out) & self.outcomes.keys()
        running = [name for member in self.scene.roster for name in member.running]
        assert sorted(running) == sorted(out)
        assert len(self.scene.given) == len(set(self.scene.given))

    @invariant()
    def nobody_is_in_doubt_because_of_what_is_settled(self) -> None:
        for member in self.scene.roster:
            assert not member.unconfirmed & self.outcomes.keys()

    def teardown(self) -> None:
        """The others fall silent for ever, or leave; the good one finishes everything."""
        if not self.workers:
            return
        anchor = self.workers[0]
        for worker in self.workers[1:]:
            if not worker.silent and not self._may_be_lost(worker):
                self._leave(worker)
        for _ in range(1000):
            if self.scene.desk.finished:
                break
            self.scene.now += 5
            self._beat(anchor)
            self._ask(anchor)
            for held in list(anchor.held):
                self._end(anchor, held)
        assert self.outcomes.keys() == set(self.names)
        self.nothing_has_failed_for_want_of_a_good_worker()
        self.what_is_done_is_whole()


TestSearches = Searches.TestCase
TestSearches.settings = settings(max_examples=150, stateful_step_count=60)
