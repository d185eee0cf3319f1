"""Which p_subset and p_retrain? An answer from a pilot.

Yu et al. (2024, section 6) leave it open how small the subset of Step 1 may be and how many
architectures Step 2 must retrain. A pilot trains the same few dozen architectures on subsets
of several sizes. How alike the sizes rank them gives the chance that the best architecture of
a project of any number of trials is among the N best of its Step 1; what the trainings took
gives the hours of that project.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aeroact.errors import AeroactError
from aeroact.hpo.journal import Trial

if TYPE_CHECKING:
    from rich.table import Table

CONFIDENCE = 0.8
"""Of all intervals, two-sided: the recommendation rests on the lower end, a 10th percentile."""

MIN_TRIALS = 20
"""With fewer architectures no recommendation is given."""

TOP = 10
"""The chance is given of the best architecture, and of at least one of this many best."""

_MIN_SPREAD = 0.01  # of the validation MSEs, relative; below it there is no order to speak of
_DRAWS = 4096  # of the best architecture: the error of a chance of 0.9 is 0.005
_RESAMPLES = 1000
_PILOTS = (30, 40, 50, 60, 80, 100, 150, 200, 300, 500, 1000)  # sizes to suggest


@dataclass(frozen=True)
class Pilot:
    """The same architectures, trained on subsets of several sizes.

    Attributes
    ----------
    subsets : tuple of float
        Fractions of the training rows, ascending.
    rows : tuple of int
        Training rows of each subset.
    val_mse : ndarray, shape (n_subsets, n_trials)
        Lowest validation MSE of each training.
    seconds : ndarray, shape (n_subsets, n_trials)
        Duration of each training (s).
    epochs : ndarray, shape (n_subsets, n_trials)
        Epochs of each training.
    """

    subsets: tuple[float, ...]
    rows: tuple[int, ...]
    val_mse: NDArray[np.float64]
    seconds: NDArray[np.float64]
    epochs: NDArray[np.int64]

    @classmethod
    def of(cls, rows: int, by_subset: Mapping[float, Mapping[str, Trial]]) -> "Pilot":
        """Collect the architectures that succeeded at every subset size.

        Parameters
        ----------
        rows : int
            All training rows, those of a subset of 1.
        by_subset : mapping
            For each subset size the trials of its Step 1 by name; a name stands for the same
            architecture at every size.

        Raises
        ------
        AeroactError
            If a name stands for different architectures, or nothing succeeded at every size.
        """
        subsets = tuple(sorted(by_subset))
        names = sorted(set.intersection(*(_succeeded(by_subset[p]) for p in subsets)))
        if not names:
            raise AeroactError(
                f"pilot: no architecture succeeded at every subset size of {_listed(subsets)}; "
                "look at the reasons in the trials.jsonl of each"
            )
        for name in names:
            if len({by_subset[p][name].candidate for p in subsets}) > 1:
                raise AeroactError(
                    f"pilot: trial {name} is not the same architecture at every subset size; "
                    "run all sizes with one seed and one search space"
                )
        trials = [[by_subset[p][name] for name in names] for p in subsets]
        return cls(
            subsets,
            tuple(round(p * rows) for p in subsets),
            np.array([[t.best_val_mse for t in of_size] for of_size in trials]),
            np.array([[t.seconds for t in of_size] for of_size in trials]),
            np.array([[len(t.val_mse) for t in of_size] for of_size in trials]),
        )

    @property
    def n_trials(self) -> int:
        """Architectures in the pilot."""
        return self.val_mse.shape[1]


@dataclass(frozen=True)
class Aim:
    """What the full project is to be.

    Attributes
    ----------
    trials : int
        Architectures of Step 1.
    workers : int
        Trainings at a time.
    retrain_epochs : int
        Epochs of a Step-2 training.
    chance : float
        With which the best architecture is to survive Step 1.
    """

    trials: int
    workers: int
    retrain_epochs: int
    chance: float = 0.9


@dataclass(frozen=True)
class Estimate:
    """A number with its interval of confidence, `CONFIDENCE` wide."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Option:
    """A project with one of the piloted subset sizes.

    Attributes
    ----------
    p_subset : float
        Fraction of the training rows in Step 1.
    rows : int
        Training rows in Step 1.
    rho : Estimate
        Spearman's rank correlation of the validation MSEs with those on the largest subset.
    rho_better : Estimate
        The same among the better half of the architectures (on the largest subset), whose
        order is what matters: the chances rest on it.
    trial_seconds : float
        Mean duration of a Step-1 training (s).
    retrain : int
        N, the architectures to retrain: enough for the chance asked for at the lower end of
        the correlation.
    retrain_likely : int
        What would be enough at the estimate itself.
    p_retrain : float
        N as a fraction of the trials.
    survival, survival_of_one : Estimate
        Chance that the best architecture, or at least one of the `TOP` best, is among the N.
    step1_hours, step2_hours : Estimate
        Wall time on the workers asked for (h).
    fraction : Estimate
        Work of both steps as a fraction of a one-step search's, from the measured seconds.
    nominal : float
        The same as the paper approximates it, p_subset + p_retrain.
    """

    p_subset: float
    rows: int
    rho: Estimate
    rho_better: Estimate
    trial_seconds: float
    retrain: int
    retrain_likely: int
    p_retrain: float
    survival: Estimate
    survival_of_one: Estimate
    step1_hours: Estimate
    step2_hours: Estimate
    fraction: Estimate
    nominal: float


@dataclass(frozen=True)
class Plan:
    """What the pilot says about the full project.

    Attributes
    ----------
    aim : Aim
        What was asked for.
    pilot_trials : int
        Architectures that succeeded at every subset size.
    options : tuple of Option
        One for each subset size, ascending.
    one_step_hours : Estimate
        Wall time of Step 1 on all training rows (h), the search that two steps replace.
    recommended : Option or None
        The cheapest that keeps the best architecture; None if the pilot cannot tell.
    reason : str
        Why this one, or why none.
    """

    aim: Aim
    pilot_trials: int
    options: tuple[Option, ...]
    one_step_hours: Estimate
    recommended: Option | None
    reason: str


def plan(pilot: Pilot, aim: Aim, seed: int = 0) -> Plan:
    """Say what the full project costs with each subset size, and which one to take.

    Parameters
    ----------
    pilot : Pilot
        Of at least `MIN_TRIALS` architectures and two subset sizes for a recommendation;
        the largest size, better all the rows, is what "best" refers to.
    aim : Aim
        The full project.
    seed : int
        Of the random draws: the same seed, the same plan.

    Returns
    -------
    Plan

    Raises
    ------
    AeroactError
        If the aim is out of bounds.
    """
    if min(aim.trials, aim.workers, aim.retrain_epochs) < 1 or not 0 < aim.chance < 1:
        raise AeroactError(
            f"plan: trials {aim.trials}, workers {aim.workers} and retrain_epochs "
            f"{aim.retrain_epochs} must be at least 1, and chance {aim.chance} within (0, 1)"
        )
    cost = _Cost(pilot, aim, seed)
    options = tuple(_option(pilot, aim, cost, size, seed) for size in range(len(pilot.subsets)))
    best, reason = _choose(pilot, aim, cost, options, seed)
    return Plan(aim, pilot.n_trials, options, cost.one_step_hours, best, reason)


def survival(correlation: float, trials: int, retrain: int, best: int = 1, seed: int = 0) -> float:
    """Return the chance that Step 1 keeps the best architecture, or one of the best few.

    The ranks of a trial's validation MSE on the subset and on all rows are taken to be those
    of two normal variables (a Gaussian copula). Given the trial that is best on all rows, the
    others are independent of each other, so those which the subset puts before it are
    binomial in number; the chance is averaged over random draws of that trial.

    Parameters
    ----------
    correlation : float
        Of the two normal variables.
    trials : int
        Architectures of Step 1.
    retrain : int
        N, how many of them Step 1 keeps.
    best : int
        One of this many best on all rows is to be among the N.
    seed : int
        Of the draws.

    Returns
    -------
    float
        Within 0.01 or so of the exact chance.
    """
    from scipy.stats import binom

    best = min(best, trials)
    ahead = _ahead(correlation, trials, best, seed)
    return float(binom.cdf(retrain - 1, trials - best, ahead).mean())


def retrain_for(correlation: float, trials: int, chance: float, seed: int = 0) -> int:
    """Return the smallest N with which the best architecture survives with a chance."""
    from scipy.stats import binom

    ahead = _ahead(correlation, trials, 1, seed)
    enough, too_few = trials, 0
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if binom.cdf(middle - 1, trials - 1, ahead).mean() >= chance:
            enough = middle
        else:
            too_few = middle
    return enough


def _ahead(correlation: float, trials: int, best: int, seed: int) -> NDArray[np.float64]:
    """Return, for each draw, the chance of any other trial to rank before the best few.

    The best few are the lowest of `trials` standard normal variables z. On the subset they
    are at r z + sqrt(1 - r^2) e, and the lowest of that, t, is the threshold: the result is
    P(subset < t | z above the best few), from the bivariate normal distribution by Owen's T
    (Owen, 1956, Ann. Math. Stat. 27, 1075-1090).
    """
    from scipy.special import ndtr, ndtri, owens_t

    r = float(np.clip(correlation, -1 + 1e-9, 1 - 1e-9))
    s = np.sqrt(1 - r**2)
    rng = np.random.default_rng([seed, trials, best])
    # The lowest of many uniform variables: sums of exponential gaps (Devroye, 1986, V.2).
    gaps = rng.exponential(size=(_DRAWS, best)).cumsum(axis=1)
    uniform = gaps / (gaps[:, -1:] + rng.gamma(trials + 1 - best, size=(_DRAWS, 1)))
    z = ndtri(uniform)
    t = (r * z + s * rng.standard_normal(z.shape)).min(axis=1)
    h = z[:, -1]
    both = (ndtr(t) + ndtr(h) - (t * h < 0)) / 2
    both -= owens_t(t, (h / t - r) / s) + owens_t(h, (t / h - r) / s)
    return np.clip((ndtr(t) - both) / (1 - uniform[:, -1]), 0, 1)


def rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> Estimate:
    """Return Spearman's correlation of two samples with its interval.

    The interval is Fisher's with the variance (1 + rho^2 / 2) / (n - 3) of Bonett & Wright
    (2000, Psychometrika 65, 23-28). With up to three pairs it is all of [-1, 1]. The same or
    the opposite order throughout counts as halfway to the next possible value: a few pairs
    cannot prove that all pairs agree.

    Parameters
    ----------
    a, b : ndarray, shape (n,)
        The samples; if all values of one are equal, the correlation is 0.
    """
    from scipy.stats import spearmanr

    n = len(a)
    if n <= 3:
        return Estimate(0.0, -1.0, 1.0)
    constant = np.ptp(a) == 0 or np.ptp(b) == 0
    return _interval(0.0 if constant else float(spearmanr(a, b).statistic), n)


def _interval(rho: float, n: int) -> Estimate:
    from scipy.special import ndtri

    most = 1 - 6 / (n * (n**2 - 1))
    rho = float(np.clip(rho, -most, most))
    z = np.arctanh(rho)
    half = ndtri((1 + CONFIDENCE) / 2) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    return Estimate(rho, float(np.tanh(z - half)), float(np.tanh(z + half)))


def copula_correlation(rho_better: float) -> float:
    """Return the correlation of the Gaussian copula whose better half has a rank correlation.

    Among normal variables Spearman's rho belongs to the correlation 2 sin(pi rho / 6)
    (Pearson, 1907; Kruskal, 1958, J. Am. Stat. Assoc. 53, 814-861). The better half is a
    restricted range, in which one of them has 1 - 2 / pi of its variance; the correlation
    of the whole range follows by Thorndike's correction (1949, case 2).
    """
    r = 2 * np.sin(np.pi * rho_better / 6)
    return float(r / np.sqrt(r**2 + (1 - 2 / np.pi) * (1 - r**2)))


class _Cost:
    """What projects cost, with intervals from resampling the pilot's architectures.

    Row 0 of each array is the pilot itself, the others are resamples.
    """

    def __init__(self, pilot: Pilot, aim: Aim, seed: int) -> None:
        self.aim = aim
        order = np.argsort(pilot.val_mse[-1], kind="stable")
        n, better = pilot.n_trials, _better(pilot.n_trials)
        rng = np.random.default_rng([seed, n])
        # The better half, which has those to retrain, is resampled by itself.
        is_better = np.arange(n) < better
        first, size = np.where(is_better, 0, better), np.where(is_better, better, n - better)
        drawn = (first + rng.random((_RESAMPLES, n)) * size).astype(int)
        rows = order[np.vstack([np.arange(n), drawn])]

        growth = _growth(pilot)
        epoch = pilot.seconds[-1] / pilot.epochs[-1] * growth
        retrained = aim.retrain_epochs * epoch[rows[:, :better]]
        self._retrain, self._longest_retrain = retrained.mean(axis=1), retrained.max(axis=1)
        self._trial = pilot.seconds[:, rows].mean(axis=2)
        self._longest_trial = pilot.seconds[:, rows].max(axis=2)
        self._one_step = aim.trials * self._trial[-1] * growth
        self.one_step_hours = self._hours(self._one_step, self._longest_trial[-1] * growth)

    def step1_hours(self, size: int) -> Estimate:
        return self._hours(self.aim.trials * self._trial[size], self._longest_trial[size])

    def step2_hours(self, retrain: int) -> Estimate:
        return self._hours(retrain * self._retrain, self._longest_retrain)

    def fraction(self, size: int, retrain: int) -> Estimate:
        work = self.aim.trials * self._trial[size] + retrain * self._retrain
        return _estimate(work / self._one_step)

    def _hours(self, work: NDArray[np.float64], longest: NDArray[np.float64]) -> Estimate:
        """Return the wall time of trainings: no shorter than the longest of them."""
        return _estimate(np.maximum(work / self.aim.workers, longest) / 3600)


def _better(n: int) -> int:
    return (n + 1) // 2


def _growth(pilot: Pilot) -> float:
    """Return how much longer an epoch on all rows takes than one on the largest subset.

    By a line through the mean seconds of an epoch against the rows, neither of whose
    coefficients may be negative.
    """
    from scipy.optimize import nnls

    if pilot.subsets[-1] == 1:
        return 1.0
    rows = np.array(pilot.rows) / pilot.rows[-1]
    lines = np.column_stack([np.ones_like(rows), rows])
    (fixed, per_row), _ = nnls(lines, (pilot.seconds / pilot.epochs).mean(axis=1))
    return float((fixed + per_row / pilot.subsets[-1]) / (fixed + per_row))


def _estimate(samples: NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(samples[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(samples[0]), float(low), float(high))


def _option(pilot: Pilot, aim: Aim, cost: _Cost, size: int, seed: int) -> Option:
    p_subset = pilot.subsets[size]
    if size == len(pilot.subsets) - 1:
        rho = better = survives = one_survives = Estimate(1.0, 1.0, 1.0)
        retrain = likely = 1
    else:
        rho = rank_correlation(pilot.val_mse[size], pilot.val_mse[-1])
        good = np.argsort(pilot.val_mse[-1], kind="stable")[: _better(pilot.n_trials)]
        better = rank_correlation(pilot.val_mse[size, good], pilot.val_mse[-1, good])
        retrain, likely = (
            retrain_for(copula_correlation(r), aim.trials, aim.chance, seed)
            for r in (better.low, better.value)
        )
        survives, one_survives = (
            Estimate(
                *(
                    survival(copula_correlation(r), aim.trials, retrain, best, seed)
                    for r in (better.value, better.low, better.high)
                )
            )
            for best in (1, TOP)
        )
    p_retrain = retrain / aim.trials
    return Option(
        p_subset,
        pilot.rows[size],
        rho,
        better,
        float(pilot.seconds[size].mean()),
        retrain,
        likely,
        p_retrain,
        survives,
        one_survives,
        cost.step1_hours(size),
        cost.step2_hours(retrain),
        cost.fraction(size, retrain),
        p_subset + p_retrain,
    )


def _choose(
    pilot: Pilot, aim: Aim, cost: _Cost, options: tuple[Option, ...], seed: int
) -> tuple[Option | None, str]:
    """Return the cheapest option that is sure enough, if there is one, and why."""
    *smaller, largest = options
    if not smaller:
        return None, (
            f"the pilot has one subset size, {largest.p_subset:g}, and nothing to compare it "
            "with; give two or three, such as 0.05, 0.2 and 1"
        )
    if pilot.n_trials < MIN_TRIALS:
        return None, (
            f"{pilot.n_trials} architectures succeeded at every subset size, and fewer than "
            f"{MIN_TRIALS} say too little about the order of {aim.trials:,}; take 40 or more"
        )
    if pilot.val_mse[-1].max() <= (1 + _MIN_SPREAD) * pilot.val_mse[-1].min():
        return None, (
            f"the validation MSEs of all architectures on the largest subset are within "
            f"{_MIN_SPREAD:.0%} of each other: there is no best one to find; train for more "
            "epochs or open the search space"
        )

    def cheaper(size: int, rho: float) -> bool:
        """Whether a subset saves anything over Step 1 on the largest, at a correlation."""
        retrain = retrain_for(copula_correlation(rho), aim.trials, aim.chance, seed)
        return cost.fraction(size, retrain).value < largest.fraction.value

    sure = [o for o in smaller if o.fraction.value < largest.fraction.value]
    if sure:
        return min(sure, key=lambda o: o.fraction.value), (
            "the cheapest that keeps the best architecture even at the low end of its correlation"
        )
    if not any(cheaper(i, o.rho_better.high) for i, o in enumerate(smaller)):
        return largest, (
            "the smaller subsets order the better half of the architectures so differently that "
            "retraining enough of them would save nothing"
        )
    needed = next(
        (
            n
            for n in _PILOTS
            if any(
                cheaper(i, _interval(o.rho_better.value, _better(n)).low)
                for i, o in enumerate(smaller)
            )
        ),
        None,
    )
    return None, (
        "the correlations are too uncertain, and at their low ends so many architectures would "
        "have to be retrained that nothing is saved; "
        + (
            f"a pilot of about {needed} architectures would probably be enough"
            if needed
            else "a larger pilot would probably find the same, so search on "
            f"{largest.p_subset:g} of the rows"
        )
    )


def table(plan: Plan) -> "Table":
    """Return the options as a table, a row for each subset size, intervals below numbers."""
    from rich.table import Table

    shown = Table(
        title=f"{plan.aim.trials:,} trials on {plan.aim.workers} workers, from a pilot of "
        f"{plan.pilot_trials}; {CONFIDENCE:.0%} intervals",
        title_justify="left",
    )
    heads = ("p_subset", "rows", "rank corr.", "better half", "s a trial", "Step 1", "retrain")
    for head in (*heads, "survival", "Step 2", "cost", "p_s + p_r"):
        shown.add_column(head, justify="right")
    for option in plan.options:
        # The largest subset is what the others are compared with.
        compared = option is not plan.options[-1]
        shown.add_row(
            f"{option.p_subset:g}",
            f"{option.rows:,}",
            _two_lines(_two_digits(option.rho)) if compared else "-",
            _two_lines(_two_digits(option.rho_better)) if compared else "-",
            f"{option.trial_seconds:.3g}",
            _time(option.step1_hours).split(" (")[0],
            f"{option.retrain:,}",
            _two_lines(_chance(option.survival)) if compared else "-",
            _time(option.step2_hours).split(" (")[0],
            _two_lines(_two_digits(option.fraction)),
            f"{option.nominal:.3g}",
            style="bold" if option is plan.recommended else None,
        )
    return shown


def advice(plan: Plan) -> list[str]:
    """Return what the plan means, in sentences."""
    aim, option = plan.aim, plan.recommended
    largest = plan.options[-1]
    if option is None:
        lines = [f"The pilot cannot tell: {plan.reason}."]
    elif option is largest:
        lines = [f"Recommended: --p-subset {option.p_subset:g}; {plan.reason}."]
    else:
        lines = [
            f"Recommended: --p-subset {option.p_subset:g} --retrain {option.retrain} (p_retrain "
            f"{option.p_retrain:.2g}), {plan.reason}.",
            f"Of {aim.trials:,} architectures the best is among these {option.retrain} with a "
            f"chance of {_chance(option.survival)}, and one of the {TOP} best with "
            f"{_chance(option.survival_of_one)}; if the correlation is what was measured, "
            f"{option.retrain_likely} would do: a larger pilot brings N nearer to that.",
            f"On {aim.workers} workers Step 1 takes {_time(option.step1_hours)} and Step 2 "
            f"{_time(option.step2_hours)}: {_two_digits(option.fraction)} of a one-step search's "
            f"work, beside p_subset + p_retrain = {option.nominal:.3g}.",
        ]
    lines.append(f"A one-step search on all the rows would take {_time(plan.one_step_hours)}.")
    if largest.p_subset < 1:
        lines.append(
            f"The best architecture is here the best on {largest.p_subset:g} of the rows, the "
            "pilot's largest subset; seconds on all the rows are extrapolated."
        )
    return lines


def _text(estimate: Estimate, number: Callable[[float], str], unit: str = "") -> str:
    value, low, high = (number(x) for x in (estimate.value, estimate.low, estimate.high))
    return f"{value}{unit}" if value == low == high else f"{value}{unit} ({low} to {high})"


def _two_lines(text: str) -> str:
    return text.replace(" (", "\n").rstrip(")")


def _two_digits(estimate: Estimate) -> str:
    return _text(estimate, "{:.2f}".format)


def _chance(estimate: Estimate) -> str:
    return _text(estimate, lambda x: f"{x:.0%}" if x < 0.995 else ">99%")


def _time(hours: Estimate) -> str:
    """Return a duration in the unit that suits it."""
    units = ((" h", 1), (" min", 60), (" s", 3600))
    unit, factor = next((u for u in units if hours.value * u[1] >= 1), units[-1])
    return _text(hours, lambda x: f"{x * factor:.3g}", unit)


def _succeeded(trials: Mapping[str, Trial]) -> set[str]:
    return {name for name, t in trials.items() if t.status == "COMPLETED" and t.val_mse}


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
