"""Where a step stands: the same, kept up to date, as counted anew from all trials."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeroact.hpo import standing as module
from aeroact.hpo.journal import Trial
from aeroact.hpo.standing import Standing, reason

MESSAGES = ["", "nan in epoch 3", "nan in epoch 12", "out of memory"]


@st.composite
def records(draw):
    """Draw a change of a trial, as the journal would have it."""
    status = draw(st.sampled_from(["RUNNING", "COMPLETED", "PRUNED", "FAILED"]))
    mse = draw(st.sampled_from([0.1, 0.2, 0.3, 0.4]))
    return Trial(
        step=1,
        name=draw(st.integers(0, 12).map("{:02d}".format)),
        widths=(8,),
        status=status,
        message=draw(st.sampled_from(MESSAGES)) if status == "FAILED" else "",
        val_mse=[mse, 0.5] if status in ("COMPLETED", "PRUNED") else [],
        # Step 2 ranks the other way round, so that it cannot pass for Step 1.
        holdout={"mse": 1 - mse} if status == "COMPLETED" else {},
    )


def record(name, status, **values):
    return Trial(1, name, (8,), status, **values)


def finished(name, started, ended):
    return record(name, "COMPLETED", started=started, ended=ended, val_mse=[0.1])


@given(changes=st.lists(records(), max_size=60), step=st.sampled_from([1, 2]))
def test_kept_up_to_date_it_is_what_all_trials_say(changes, step):
    standing = Standing(step, 100)
    for change in changes:
        standing.add(change)

    last = {change.name: change for change in changes}
    by_status = Counter(trial.status for trial in last.values())
    assert standing.running == {n: t for n, t in last.items() if t.status == "RUNNING"}
    assert (standing.completed, standing.pruned, standing.failed) == (
        by_status["COMPLETED"],
        by_status["PRUNED"],
        by_status["FAILED"],
    )
    assert standing.done == len(last) - len(standing.running)

    def mse(trial):
        return min(trial.val_mse) if step == 1 else trial.holdout["mse"]

    completed = [trial for trial in last.values() if trial.status == "COMPLETED"]
    assert standing.best() == sorted(completed, key=lambda trial: (mse(trial), trial.name))[:5]

    failures = Counter(trial.message for trial in last.values() if trial.status == "FAILED")
    if failures["nan in epoch 3"] and failures["nan in epoch 12"]:
        both = failures.pop("nan in epoch 3") + failures.pop("nan in epoch 12")
        failures["nan in epoch …"] = both
    assert standing.failures == +failures


@given(changes=st.lists(records(), max_size=30))
def test_from_the_last_records_it_is_the_same_and_other_steps_are_left_out(changes):
    grown = Standing(1, 100)
    for change in changes:
        grown.add(change)
    last = {change.name: change for change in changes}
    other = Trial(2, "00", (8,), "COMPLETED", holdout={"mse": 1e-9})
    read = Standing.of(1, 100, [other, *last.values()])
    for name in ("running", "completed", "pruned", "failed", "done", "failures"):
        assert getattr(read, name) == getattr(grown, name)
    assert read.best() == grown.best()


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("the loss became nan in epoch 7", "the loss became nan in epoch …"),
        ("ValueError:  1.5e-3 of\n 2,000 rows", "ValueError: … of … rows"),
        ("its worker was killed by SIGKILL, 2 times", "its worker was killed by SIGKILL, … times"),
        ("/scratch/run-7/models/07.keras: no space", "…: no space"),
        ("cannot read '../cache/x.npy' at 0x7FfE01", "cannot read '…' at …"),
        ("input/output error at 3 MB/s", "input/output error at … MB/s"),
    ],
)
def test_a_reason_leaves_out_what_differs_from_trial_to_trial(message, why):
    assert reason(message) == why


def test_a_reason_that_all_word_alike_keeps_its_numbers():
    standing = Standing(1, 9)
    for name in ("0", "1"):
        standing.add(record(name, "FAILED", message="took longer than 600 s"))
    assert standing.failures == {"took longer than 600 s": 2}
    standing.add(record("2", "FAILED", message="took longer than 300 s"))
    assert standing.failures == {"took longer than … s": 3}


def test_the_pace_is_unknown_until_a_trial_has_ended():
    standing = Standing(1, 4)
    assert standing.seconds_left(100.0) is None
    standing.add(record("0", "RUNNING", started=10.0))
    assert (standing.trials_per_hour(100.0), standing.seconds_left(100.0)) == (None, None)
    # A record without times, as of an older version, says nothing either.
    standing.add(record("1", "COMPLETED", val_mse=[0.1]))
    assert (standing.trials_per_hour(100.0), standing.seconds_left(100.0)) == (None, None)
    # Nor is one that runs since no known time taken to run since 1970.
    standing.add(finished("2", 10.0, 30.0))
    standing.add(record("0", "RUNNING"))
    assert standing.trials_per_hour(100.0) == pytest.approx(3600 / 20)


def test_the_pace_is_that_of_all_workers():
    standing = Standing(1, 10)
    for name in ("0", "1", "2", "3"):
        standing.add(finished(name, 100.0 + 10.0 * int(name), 120.0 + 10.0 * int(name)))
    for name in ("4", "5"):
        standing.add(record(name, "RUNNING", started=150.0))
    # Four trials took 20 s each, and those that run have not begun to.
    assert standing.trials_per_hour(150.0) == pytest.approx(2 * 3600 / 20)
    assert standing.seconds_left(150.0) == pytest.approx(6 * 20 / 2)
    # Ten seconds later both workers have spent ten more on the same four.
    assert standing.seconds_left(160.0) == pytest.approx(6 * 25 / 2)


def test_between_two_trials_of_a_worker_the_pace_stays():
    standing = Standing(1, 10)
    for name in ("0", "1"):
        standing.add(record(name, "RUNNING", started=100.0))
    before = standing.trials_per_hour(120.0)
    standing.add(finished("0", 100.0, 120.0))
    assert before is None
    assert standing.trials_per_hour(120.0) == pytest.approx(2 * 3600 / 40)
    assert standing.seconds_left(120.0) == pytest.approx(9 * 40 / 2)


def test_the_last_trials_cannot_share_idle_workers():
    standing = Standing(1, 9)
    for name in "012345678":
        standing.add(record(name, "RUNNING", started=100.0))
    for name in "01234567":
        standing.add(finished(name, 100.0, 200.0))
    assert standing.seconds_left(200.0) == pytest.approx(900 / 8)
    standing.add(finished("8", 100.0, 200.0))
    assert standing.seconds_left(200.0) == 0.0


def test_a_day_between_two_processes_is_no_time_spent():
    day = 86_400.0
    standing = Standing(1, 8)
    standing.add(finished("0", 100.0, 130.0))
    standing.add(record("1", "RUNNING", started=130.0))
    standing.forget_running()
    assert standing.running == {}
    assert standing.trials_per_hour(day) is None
    standing.add(record("1", "RUNNING", started=day))
    standing.add(finished("1", day, day + 50.0))
    standing.add(record("2", "RUNNING", started=day + 50.0))
    assert standing.seconds_left(day + 50.0) == pytest.approx(6 * 40)
    assert standing.last_ended == day + 50.0


def test_the_pace_follows_a_change():
    """Of a trial that began before the trials that count, only the time since then does."""
    n = module._PACE_TRIALS
    standing = Standing(1, 3 * n)
    for k in range(n):
        standing.add(finished(f"slow-{k}", 1000.0 * k + 1, 1000.0 * (k + 1)))
    standing.add(record("long", "RUNNING", started=1.0))
    begin = 1000.0 * n
    for k in range(n):
        standing.add(finished(f"fast-{k}", begin + 10.0 * k, begin + 10.0 * (k + 1)))
    standing.add(record("next", "RUNNING", started=begin + 10.0 * n))
    assert standing.trials_per_hour(begin + 10.0 * n) == pytest.approx(2 * 3600 / 20)


def test_from_a_journal_the_last_to_end_count():
    """The journal lists trials as they began; one that began first may end last."""
    n = module._PACE_TRIALS
    trials = [finished(f"{k}", 10.0 + k, 11.0 + k) for k in range(2 * n)]
    trials[:n], trials[n:] = trials[n:], trials[:n]
    slow = [finished(f"{k}", 0.5, 9.5) for k in range(2 * n, 3 * n)]
    running = record("last", "RUNNING", started=10.0 + 2 * n)
    standing = Standing.of(1, 4 * n, [*trials, *slow, running])
    assert standing.trials_per_hour(10.0 + 2 * n) == pytest.approx(3600)


def test_with_lengths_of_a_long_tail_the_time_left_is_no_fiction():
    """The short trials end first: their mean alone would promise half of it, or less."""
    ratios = []
    for seed in range(20):
        pick = random.Random(seed)
        ends = sorted(pick.lognormvariate(0.0, 1.0) for _ in range(64))
        standing = Standing(1, 6400)
        for k in range(64):
            standing.add(record(f"{k}", "RUNNING", started=1.0))
        for k in range(32):
            standing.add(finished(f"{k}", 1.0, 1.0 + ends[k]))
        left = standing.seconds_left(1.0 + ends[31])
        assert left is not None
        ratios.append(left / (1.65 * (6400 - 32) / 64))  # 1.65 is the mean of the lengths
    assert 0.7 < sum(ratios) / len(ratios) < 1.3
