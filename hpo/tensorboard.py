"""Logs for TensorBoard, which shows the curves of all trials and a table of their settings.

Event files are written without the package `tensorboard`, which TensorFlow no longer brings:
records of TensorFlow's protocol buffers, a file for each trial.
"""

import struct
import time
from pathlib import Path
from typing import Any

from aeroact.errors import AeroactError
from aeroact.files import make_folder
from aeroact.hpo.backend import load_backend
from aeroact.hpo.journal import Trial


class Board:
    """The event files of a run.

    Parameters
    ----------
    folder : Path
        For `tensorboard --logdir`; trials go to `step1/TRIAL/` and `step2/TRIAL/` in it.

    Raises
    ------
    AeroactError
        From all methods, if a file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        load_backend()
        self.folder = folder
        self._open: dict[tuple[int, str], _EventFile] = {}

    def epoch(self, step: int, name: str, epoch: int, mse: float, val_mse: float) -> None:
        """Add a point to the curves of a trial.

        Parameters
        ----------
        step : int
            Of the search, 1 or 2.
        name : str
            Of the trial.
        epoch : int
            Counted from 1; the first takes the place of what an earlier attempt has left.
        mse, val_mse : float
            Training and validation MSE.
        """
        if epoch == 1 or (step, name) not in self._open:
            self._begin(step, name)
        values = {"MSE/training": mse, "MSE/validation": val_mse}
        self._open[step, name].add(epoch, [_scalar(tag, value) for tag, value in values.items()])

    def end(self, trial: Trial) -> None:
        """Add a finished trial's architecture and final errors, and close its file."""
        if (trial.step, trial.name) not in self._open:
            self._begin(trial.step, trial.name)
        file = self._open.pop((trial.step, trial.name))
        results = {"holdout MSE": trial.holdout.get("mse"), "holdout R2": trial.holdout.get("r2")}
        if trial.val_mse:
            results["best validation MSE"] = trial.best_val_mse
        final = [_scalar(tag, value) for tag, value in results.items() if value is not None]
        file.add(len(trial.val_mse), [*_session(trial), *final])
        file.close()

    def close(self) -> None:
        """Close the files of trials that did not end."""
        while self._open:
            self._open.popitem()[1].close()

    def _begin(self, step: int, name: str) -> None:
        if (step, name) in self._open:
            self._open.pop((step, name)).close()
        folder = self.folder / f"step{step}" / name
        make_folder(folder)
        for old in folder.glob("*.tfevents.*"):
            old.unlink()
        self._open[step, name] = _EventFile(folder / f"events.out.tfevents.{time.time_ns()}")


class _EventFile:
    """Records of TensorFlow's protocol buffer `Event`."""

    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        self.path = path
        self._failure = tf.errors.OpError
        self._event = tf.compat.v1.Event
        self._writer = tf.io.TFRecordWriter(str(path))
        self._write(file_version="brain.Event:2")

    def add(self, step: int, values: list[Any]) -> None:
        self._write(step=step, summary={"value": values})

    def _write(self, **content: Any) -> None:
        try:
            self._writer.write(self._event(wall_time=time.time(), **content).SerializeToString())
            # A TensorBoard that is open shows the point at once.
            self._writer.flush()
        except self._failure as error:
            raise AeroactError(f"{self.path}: cannot be written ({error.message})") from error

    def close(self) -> None:
        self._writer.close()


def _scalar(tag: str, value: float) -> Any:
    import tensorflow as tf

    return tf.compat.v1.Summary.Value(tag=tag, simple_value=value)


def _session(trial: Trial) -> list[Any]:
    """Return a trial's row in the table of settings (HPARAMS).

    The row is a protocol buffer of the package `tensorboard`, `HParamsPluginData`: its field 3 is
    the beginning of a session, whose field 1 is a map of settings; its field 4 is the end of one,
    whose field 1 is a status, 1 for success and 2 for failure.
    """
    import tensorflow as tf

    from aeroact.hpo.tables import nodes_text

    settings: dict[str, float | str | None] = {
        "layers": len(trial.widths),
        "parameters": trial.params,
        "nodes": nodes_text(trial),
        "learning rate": trial.learning_rate,
        "batch size": trial.batch_size,
    }
    beginning = b"".join(
        _message(1, _message(1, name.encode()) + _message(2, _value(value)))
        for name, value in settings.items()
        if value is not None
    )
    end = bytes([1 << 3, 2 if trial.status == "FAILED" else 1])
    rows = {
        "_hparams_/session_start_info": _message(3, beginning),
        "_hparams_/session_end_info": _message(4, end),
    }
    return [
        tf.compat.v1.Summary.Value(
            tag=tag,
            tensor=tf.make_tensor_proto(0.0),
            metadata={"plugin_data": {"plugin_name": "hparams", "content": content}},
        )
        for tag, content in rows.items()
    ]


def _value(value: float | str) -> bytes:
    """Return a setting as a protocol buffer `google.protobuf.Value`."""
    if isinstance(value, str):
        return _message(3, value.encode())
    return bytes([2 << 3 | 1]) + struct.pack("<d", value)


def _message(field: int, content: bytes) -> bytes:
    """Return a field of a protocol buffer that holds a message or a text.

    Its key and the length are followed by the content; the length is written in seven bits a
    byte, the lowest first, and all bytes but the last have the top bit set.
    """
    head, length = bytes([field << 3 | 2]), len(content)
    while length > 127:
        head, length = head + bytes([length & 127 | 128]), length >> 7
    return head + bytes([length]) + content
