"""The workers that a chief knows, and what it thinks of them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

_UNCONFIRMED = 3
"""Failures that no other worker has confirmed, after which a worker has to wait."""

_REFUTED = 3
"""Failures in a row that others refuted, after which a worker is put aside."""


@dataclass
class Member:
    """A worker.

    Attributes
    ----------
    name : str
        What it calls itself: its node and its GPU.
    number : int
        In the order in which workers called in, from 0.
    seen : float
        When it last called (s).
    running : list of str
        The trials that it has.
    done, failed : int
        Trials that it finished, and that failed here.
    unconfirmed : set of str
        Trials that failed here, and that nobody else has tried yet.
    refuted : int
        Trials in a row that failed here and went well elsewhere.
    aside : str
        Why it gets no more trials; empty if it does.
    left : str
        Why it has gone; empty if it has not said so.
    """

    name: str
    number: int
    seen: float = 0.0
    running: list[str] = field(default_factory=list)
    done: int = 0
    failed: int = 0
    unconfirmed: set[str] = field(default_factory=set)
    refuted: int = 0
    aside: str = ""
    left: str = ""

    @property
    def suspect(self) -> bool:
        """Whether it has to wait until others have looked at what failed here."""
        return len(self.unconfirmed) >= _UNCONFIRMED

    def succeeded(self) -> None:
        """Note a trial that it finished."""
        self.done += 1
        self.refuted = 0

    def refuted_by(self, other: "Member", trial: str, why: str) -> None:
        """Note that another worker has finished a trial that failed here."""
        self.unconfirmed.discard(trial)
        self.refuted += 1
        if self.refuted >= _REFUTED and not self.aside:
            self.aside = (
                f"{self.refuted} trials in a row failed here and went well elsewhere, the last "
                f"one on {other.name}: {why}"
            )


class Roster:
    """All workers that have called in.

    Parameters
    ----------
    silence : float
        Seconds without a call after which a worker counts as lost.
    """

    def __init__(self, silence: float) -> None:
        self._silence = silence
        self._members: dict[str, Member] = {}

    def heard(self, name: str, now: float) -> Member:
        """Note that a worker has called, be it for the first time."""
        member = self._members.setdefault(name, Member(name, len(self._members)))
        member.seen, member.left = now, ""
        return member

    def member(self, name: str) -> Member:
        """Return a worker that has called in before."""
        return self._members[name]

    def left(self, name: str, why: str) -> None:
        """Note that a worker has gone."""
        if name in self._members:
            self._members[name].left = why

    def is_present(self, member: Member, now: float) -> bool:
        """Return whether a worker is there to be given trials."""
        return not (member.left or member.aside) and now - member.seen <= self._silence

    def present(self, now: float) -> list[Member]:
        """Return the workers that are there to be given trials."""
        return [member for member in self._members.values() if self.is_present(member, now)]

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def pardon(self, seconds: float) -> None:
        """Let a time pass in which nobody could be heard."""
        for member in self._members.values():
            member.seen += seconds

    def record(self, now: float) -> list[dict[str, Any]]:
        """Return what there is to say of each worker, for `state.json`."""
        return [
            {
                **{k: v for k, v in asdict(member).items() if k not in {"seen", "unconfirmed"}},
                "present": self.is_present(member, now),
                "silent": round(now - member.seen, 1),
            }
            for member in self._members.values()
        ]
