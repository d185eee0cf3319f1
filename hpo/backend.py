"""TensorFlow and Keras, imported late, with nothing on the terminal but real trouble."""

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator

# Keras imports these for parts of it that we do not use, where they are installed: a quarter
# of the time that a process needs to begin.
_UNUSED = ("matplotlib", "sklearn")


def load_backend() -> None:
    """Import TensorFlow as the backend of Keras.

    Its libraries write remarks to standard error before any setting of theirs acts
    (TensorFlow 2.21), so what they say is held back, and shown only if the import fails.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            with _hidden(*_UNUSED):
                import tensorflow  # noqa: F401
        except ImportError:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


@contextlib.contextmanager
def _hidden(*packages: str) -> Iterator[None]:
    """Let packages seem not to be installed, unless they are in use already."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def load_single_threaded() -> None:
    """Import TensorFlow for a process that has one core and trains network after network."""
    load_backend()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    # Several workers may share a GPU, which TensorFlow would fill at once.
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    # What is in memory now stays there: nobody need look through it for garbage again.
    gc.collect()
    gc.freeze()
