"""Make a report: read the runs, measure, draw, write; the folder is replaced as a whole."""

import io
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from aeroact import timing
from aeroact.console import Progress, ProgressBar
from aeroact.errors import AeroactError
from aeroact.files import make_folder, remove_parts, replacing_folder, require_writable
from aeroact.hpo.report import figures, holdout, inference, page, runs, tables
from aeroact.hpo.report.inference import ARG2000
from aeroact.hpo.report.page import Section
from aeroact.hpo.report.runs import Run
from aeroact.hpo.report.style import SIZES, Size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "report.html"
"""The page in a report's folder."""

_OF_HOLDOUT = ("networks", "hexagons", "regions", "worst")
_PACKAGES = ("aeroact", "keras", "keras-tuner", "numpy", "onnxruntime", "tensorflow")


@dataclass(frozen=True)
class Options:
    """What a report is to be like.

    Attributes
    ----------
    modes : tuple of str
        Whose activated fractions Figure 3 shows.
    size : Size
        Of the figures.
    holdout : bool
        Whether the best networks predict the holdout.
    timing : bool
        Whether networks are timed.
    """

    modes: tuple[str, ...] = ("accum",)
    size: Size = SIZES["print"]
    holdout: bool = True
    timing: bool = True


def build(paths: Sequence[Path], out: Path, options: Options, progress: ProgressBar) -> list[str]:
    """Write the report of one run, or of several with different subsets, into a folder.

    Parameters
    ----------
    paths : sequence of Path
        The runs' folders, finished or not.
    out : Path
        The report's folder; an older report is replaced.
    options : Options
        What it is to be like.
    progress : ProgressBar
        Shows how far it is.

    Returns
    -------
    list of str
        What is missing from it, and why.

    Raises
    ------
    AeroactError
        If a folder holds no run, or `out` is something else than a report.
    """
    _require_own(out)
    require_writable(out)
    found = runs.read(paths)
    made = _Made(tables.of_runs(found))
    missing = [reason for run in found for reason in run.missing]
    _add_times(made, found, options, progress)
    missing += _add_predictions(made, found, options, progress)
    drawings = _drawings(made, options)
    make_folder(out.parent)
    remove_parts(out)
    with replacing_folder(out) as part:
        _write_tables(part / "tables", made)
        with progress("Drawing", len(drawings), after=2.0) as show:
            sections = _draw(part / "figures", drawings, show)
        missing += [f"{section.title}: {section.why}" for section in sections if section.why]
        provenance = _provenance(found)
        (part / "provenance.json").write_text(
            json.dumps(provenance, indent=1) + "\n", encoding="utf-8"
        )
        text = page.render(sections, made, provenance, missing)
        (part / PAGE).write_text(text, encoding="utf-8")
    return missing


def _require_own(out: Path) -> None:
    """See that no folder of something else would be replaced."""
    if out.is_dir() and any(out.iterdir()) and not (out / PAGE).is_file():
        raise AeroactError(
            f"{out}: holds something else than a report, which would be lost; choose another "
            "with --out"
        )
    if out.exists() and not out.is_dir():
        raise AeroactError(f"{out}: is a file; choose a folder with --out")


class _Made(dict[str, pd.DataFrame]):
    """Tables by name; of those that could not be made it says why."""

    def __init__(self, tables: dict[str, pd.DataFrame]) -> None:
        super().__init__(tables)
        self.why: dict[str, str] = {}

    def __missing__(self, name: str) -> pd.DataFrame:
        raise figures.NothingToDrawError(self.why[name])


def _add_times(made: _Made, found: Sequence[Run], options: Options, progress: ProgressBar) -> None:
    usable = [
        (trial.widths, run.project.activation)
        for run in found
        for trial in run.step2.values()
        if trial.status == "COMPLETED"
    ]
    if not options.timing:
        why = "left out by --no-timing"
    elif not usable:
        why = "no network has been retrained yet"
    else:
        with progress("Timing on one core", timing.S4_REPETITIONS, after=2.0) as show:
            made["inference"] = inference.measure(usable, show)
        made["accuracy_cost"] = tables.accuracy_and_cost(made["retrained"], made["inference"])
        return
    made.why |= dict.fromkeys(("inference", "accuracy_cost"), why)


def _add_predictions(
    made: _Made, found: Sequence[Run], options: Options, progress: ProgressBar
) -> list[str]:
    """Add what the best networks make of the holdout; returns which of them are left out."""
    chosen = holdout.picks(found)
    why = "no network has been retrained yet"
    if not options.holdout:
        why = "left out by --no-holdout"
    elif chosen:
        try:
            predicted = holdout.predict(chosen, options.modes, progress)
        except AeroactError as error:
            why = str(error)
        else:
            for name in _OF_HOLDOUT:
                made[name] = getattr(predicted, name)
            return predicted.problems
    made.why |= dict.fromkeys(_OF_HOLDOUT, why)
    return []


# --- figures ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Drawing:
    """A figure to be drawn: its file's name, and the text around it on the page."""

    name: str
    title: str
    caption: str
    draw: "Callable[[], Figure]"


def _drawings(made: _Made, options: Options) -> list[_Drawing]:
    sized: dict[str, Any] = {"size": options.size}

    def fractions(mode: str) -> "Figure":
        return figures.fractions(made["hexagons"], made["networks"], mode, **sized)

    def plane() -> "Figure":
        mse = None
        if "networks" in made:
            mse = float(made["networks"].set_index("network").loc[ARG2000, "mse"])
        return figures.plane(made["accuracy_cost"], made["inference"], mse, **sized)

    return [
        _Drawing(
            "figure1b_cost",
            "Figure 1b. Cost of two steps",
            "Contours: the paper's p_subset + p_retrain, a fraction of a one-step search. Symbols: "
            "the runs, filled with what their trainings took.",
            lambda: figures.cost(made["projects"], **sized),
        ),
        _Drawing(
            "figure2_step1",
            "Figure 2. Step 1, and what became of it",
            "(a) Lowest validation MSE of every trial, sorted. (b) Test MSE after Step 2 against "
            "validation MSE after Step 1; on the line nothing would have changed. (c, d) Lowest "
            "validation MSE against hidden layers and learnable parameters.",
            lambda: figures.step1(made["trials"], made["retrained"], **sized),
        ),
        *(
            _Drawing(
                f"figure3_fn_{mode}",
                f"Figure 3. Predicted against simulated, {figures.MODE_NAMES[mode]} mode",
                "Holdout samples in hexagonal bins; grey: fewer than 0.0001 % of them. MSE and R² "
                "are those of this mode.",
                partial(fractions, mode),
            )
            for mode in options.modes
        ),
        _Drawing(
            "figureS1_curves",
            "Figure S1. Validation MSE by epoch",
            "A line for each trial of Step 1.",
            lambda: figures.curves(made["curves"], **sized),
        ),
        _Drawing(
            "figureS2_complexity",
            "Figure S2. Size of the retrained networks",
            "Failed: a test MSE above 0.01, or a training that broke off.",
            lambda: figures.complexity(made["retrained"], **sized),
        ),
        _Drawing(
            "figureS3_step2",
            "Figure S3. After Step 2",
            "As Figure 2, with the errors of the retrained networks.",
            lambda: figures.step2(made["retrained"], **sized),
        ),
        _Drawing(
            "figureS4_inference",
            "Figure S4. Time on one core",
            "100,000 samples in batches of 1,024, 10 repetitions, ONNX Runtime on one thread; the "
            "networks alone, without the normalization. ARG2000: its compiled kernel, the same "
            "number of states, in turn with them.",
            lambda: figures.inference(made["inference"], **sized),
        ),
        _Drawing(
            "accuracy_cost",
            "Accuracy against cost",
            "Test MSE of the retrained networks against their time; on the dashed line no other "
            "is both more accurate and faster.",
            plane,
        ),
        _Drawing(
            "subset_ranks",
            "Does a small subset find the same winners?",
            "Rank of each architecture by validation MSE on a smaller subset and on the largest. "
            "rho: Spearman's correlation, whose interval the table has.",
            lambda: figures.ranks(made["ranks"], made["correlations"], **sized),
        ),
        _Drawing(
            "errors_by_region",
            "Where the errors are",
            "MSE on the holdout by mode, and over all modes by updraft, temperature and total "
            "aerosol number.",
            lambda: figures.regions(made["regions"], made["networks"], **sized),
        ),
    ]


def _draw(folder: Path, drawings: Sequence[_Drawing], show: Progress) -> list[Section]:
    folder.mkdir()
    sections = []
    for done, drawing in enumerate(drawings, start=1):
        png, why = b"", ""
        try:
            figure = drawing.draw()
        except figures.NothingToDrawError as error:
            why = str(error)
        else:
            # The same bytes each time: without dates or versions of software.
            png = _bytes(figure, "png", {"Software": None})
            (folder / f"{drawing.name}.png").write_bytes(png)
            pdf = _bytes(figure, "pdf", {"CreationDate": None, "Producer": None})
            (folder / f"{drawing.name}.pdf").write_bytes(pdf)
        sections.append(Section(drawing.name, drawing.title, drawing.caption, png, why))
        show(done)
    return sections


def _bytes(figure: "Figure", form: str, metadata: dict[str, Any]) -> bytes:
    # In memory first: what libraries make of a full disk is not always an OSError.
    held = io.BytesIO()
    figure.savefig(held, format=form, metadata=metadata)
    return held.getvalue()


# --- files ------------------------------------------------------------------------------------

_AS_MARKDOWN = ("projects", "table_s1", "correlations", "networks", "worst")
"""Tables that are short enough to be read."""


def _write_tables(folder: Path, made: dict[str, pd.DataFrame]) -> None:
    folder.mkdir()
    for name, table in made.items():
        text = table.to_csv(index=False, float_format="%.7g")
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
        if name in _AS_MARKDOWN:
            (folder / f"{name}.md").write_text(tables.markdown(table), encoding="utf-8")


def _provenance(found: Sequence[Run]) -> dict[str, Any]:
    """Return what was run, and where this report was made."""
    contents = {}
    for run in found:
        # Where the data are on this machine is nothing to a reader elsewhere.
        project = dict(run.content["project"])
        if "data" in project:
            project["data"] = Path(project["data"]).name
            del project["samples"]  # that would have been simulated without them
        contents[run.name] = {**run.content, "project": project}
    return {
        "runs": contents,
        "report": {
            "versions": {name: version(name) for name in _PACKAGES}
            | {"python": platform.python_version()},
            "processor": timing.processor(),
        },
    }
