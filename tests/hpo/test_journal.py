"""The journal: nothing written is lost, and a torn line harms nothing."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeroact.errors import AeroactError
from aeroact.hpo.choices import WIDTHS
from aeroact.hpo.journal import Journal, Trial

trials = st.builds(
    Trial,
    step=st.sampled_from([1, 2]),
    name=st.integers(0, 30).map("{:02d}".format),
    widths=st.lists(st.sampled_from(WIDTHS), min_size=1, max_size=4).map(tuple),
    status=st.sampled_from(["RUNNING", "COMPLETED", "FAILED"]),
    message=st.text(max_size=20),
    seconds=st.floats(0, 1e6),
    mse=st.lists(st.floats(0, 1), max_size=3),
    val_mse=st.lists(st.floats(0, 1), max_size=3),
)


@settings(max_examples=50)
@given(written=st.lists(trials, min_size=1, max_size=8), data=st.data())
def test_whatever_is_torn_off_the_rest_is_read_and_continued(tmp_path_factory, written, data):
    journal = Journal(tmp_path_factory.mktemp("journal") / "trials.jsonl")
    ends = []
    for trial in written:
        journal.append(trial)
        ends.append(journal.path.stat().st_size)
    assert journal.read() == {(t.step, t.name): t for t in written}

    torn_at = data.draw(st.integers(0, ends[-1]))
    with journal.path.open("rb+") as file:
        file.truncate(torn_at)
    whole = [trial for trial, end in zip(written, ends, strict=True) if end <= torn_at]
    assert journal.read() == {(t.step, t.name): t for t in whole}

    journal.append(written[0])
    assert journal.read() == {(t.step, t.name): t for t in [*whole, written[0]]}


def test_a_step_knows_its_finished_trials(tmp_path):
    journal = Journal(tmp_path / "trials.jsonl")
    trial = Trial(1, "00", (8,), "RUNNING")
    done = replace(trial, status="COMPLETED", val_mse=[0.5, 0.25, 0.3])
    for record in (trial, replace(trial, name="01"), done, replace(trial, step=2)):
        journal.append(record)
    assert journal.finished(1) == {"00": done}
    assert journal.finished(2) == {}
    assert (done.best_val_mse, done.best_epoch) == (0.25, 2)


def test_a_damaged_line_is_named(tmp_path):
    journal = Journal(tmp_path / "trials.jsonl")
    journal.append(Trial(1, "00", (8,), "COMPLETED"))
    with journal.path.open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(AeroactError, match=r"trials.jsonl: line 2 is damaged"):
        journal.read()


def test_a_number_that_json_cannot_hold_is_refused(tmp_path):
    journal = Journal(tmp_path / "trials.jsonl")
    with pytest.raises(ValueError, match="JSON"):
        journal.append(Trial(1, "00", (8,), "COMPLETED", val_mse=[float("nan")]))
