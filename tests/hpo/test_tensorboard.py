"""The logs for TensorBoard, read back with TensorFlow alone."""

import struct
from dataclasses import replace

import pytest

from aeroact.errors import AeroactError
from aeroact.hpo.journal import Trial
from aeroact.hpo.tensorboard import Board, _message

TRIAL = Trial(1, "07", (64,) * 20, "COMPLETED", mse=[0.5, 0.2], val_mse=[0.375, 0.125])


def events(folder):
    """Read the events of the one file in a folder."""
    import tensorflow as tf

    (path,) = folder.glob("*tfevents*")
    records = tf.data.TFRecordDataset(str(path))
    return [tf.compat.v1.Event.FromString(record.numpy()) for record in records]


def scalars(folder):
    return [
        (event.step, value.tag, value.simple_value)
        for event in events(folder)
        for value in event.summary.value
        if not value.HasField("metadata")
    ]


def test_a_trial_has_its_curves_and_its_result(tmp_path):
    board = Board(tmp_path)
    board.epoch(1, "07", 1, 0.5, 0.375)
    board.epoch(1, "07", 2, 0.25, 0.125)
    # What is known is on the disk at once.
    assert len(scalars(tmp_path / "step1" / "07")) == 4
    board.end(TRIAL)
    board.close()
    assert events(tmp_path / "step1" / "07")[0].file_version == "brain.Event:2"
    assert scalars(tmp_path / "step1" / "07") == [
        (1, "MSE/training", 0.5),
        (1, "MSE/validation", 0.375),
        (2, "MSE/training", 0.25),
        (2, "MSE/validation", 0.125),
        (2, "best validation MSE", 0.125),
    ]


def test_a_retrained_network_has_its_errors_on_the_holdout(tmp_path):
    board = Board(tmp_path)
    holdout = {"mse": 0.5, "r2": 0.75}
    board.end(replace(TRIAL, step=2, holdout=holdout))
    assert scalars(tmp_path / "step2" / "07") == [
        (2, "holdout MSE", 0.5),
        (2, "holdout R2", 0.75),
        (2, "best validation MSE", 0.125),
    ]


def fields(message):
    """Decode a protocol buffer: pairs of field number and value."""
    found, at = [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            value = number()
        else:
            length = 8 if key & 7 == 1 else number()
            value, at = message[at : at + length], at + length
        found.append((key >> 3, value))
    return found


@pytest.mark.parametrize(("status", "code"), [("COMPLETED", 1), ("PRUNED", 1), ("FAILED", 2)])
def test_the_table_of_settings_has_a_row_for_each_trial(status, code, tmp_path):
    Board(tmp_path).end(replace(TRIAL, status=status, learning_rate=0.5, val_mse=[]))
    values = [value for event in events(tmp_path / "step1" / "07") for value in event.summary.value]
    assert {value.metadata.plugin_data.plugin_name for value in values} == {"hparams"}
    rows = {value.tag: fields(value.metadata.plugin_data.content) for value in values}

    ((field, beginning),) = rows["_hparams_/session_start_info"]
    assert field == 3
    settings = {}
    for number, entry in fields(beginning):
        assert number == 1
        name, value = (content for _, content in fields(entry))
        ((kind, content),) = fields(value)
        settings[name.decode()] = struct.unpack("<d", content)[0] if kind == 2 else content.decode()
    assert settings == {
        "layers": 20,
        "parameters": TRIAL.params,
        "nodes": ", ".join(["64"] * 20),
        "learning rate": 0.5,
    }
    ((field, end),) = rows["_hparams_/session_end_info"]
    assert (field, fields(end)) == (4, [(1, code)])


@pytest.mark.parametrize("length", [0, 127, 128, 300, 70_000])
def test_a_message_of_any_length_is_read_back(length):
    assert fields(_message(3, b"x" * length)) == [(3, b"x" * length)]


def test_a_trial_that_is_tried_again_begins_anew(tmp_path):
    folder = tmp_path / "step1" / "07"
    first = Board(tmp_path)
    first.epoch(1, "07", 1, 0.5, 0.5)
    first.epoch(1, "07", 2, 0.5, 0.5)
    first.epoch(1, "07", 1, 0.25, 0.25)  # its worker died
    first.close()
    assert [value for _, _, value in scalars(folder)] == [0.25, 0.25]
    second = Board(tmp_path)  # the whole search died
    second.epoch(1, "07", 1, 0.125, 0.125)
    second.close()
    assert [value for _, _, value in scalars(folder)] == [0.125, 0.125]


def test_only_trials_that_run_have_an_open_file(tmp_path):
    board = Board(tmp_path)
    for name in ("00", "01", "02"):
        board.epoch(1, name, 1, 0.5, 0.5)
    board.end(replace(TRIAL, name="01"))
    assert set(board._open) == {(1, "00"), (1, "02")}
    board.close()
    assert not board._open


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    board = Board(tmp_path)
    board.epoch(1, "07", 1, 0.5, 0.5)
    board._open[1, "07"].close()
    with pytest.raises(AeroactError, match=r"step1/07/events.*: cannot be written"):
        board.epoch(1, "07", 2, 0.5, 0.5)
