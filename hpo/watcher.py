"""Who looks on while a search goes: the screen, and TensorBoard if it was asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aeroact.hpo.journal import Trial

if TYPE_CHECKING:
    from aeroact.hpo.tensorboard import Board


@dataclass(frozen=True)
class Watcher:
    """Passes on what happens to trials.

    Attributes
    ----------
    show : callable
        Is told each trial that begins or ends.
    board : Board or None
        Writes TensorBoard's files.
    """

    show: Callable[[Trial], None] = lambda trial: None
    board: "Board | None" = None

    def trial(self, trial: Trial) -> None:
        """Pass on a trial that has begun or ended."""
        self.show(trial)
        if self.board is not None and trial.status != "RUNNING":
            self.board.end(trial)

    def epoch(self, step: int, name: str, epoch: int, mse: float, val_mse: float) -> None:
        """Pass on the errors of an epoch, counted from 1."""
        if self.board is not None:
            self.board.epoch(step, name, epoch, mse, val_mse)
