"""Is a bundle what it says it is? Every file against its sum, and against the others.

`SHA256SUMS` guards against accidents. Whoever changes a file on purpose renews it; so the
card holds the sums of the networks' files too, the ONNX file holds the card's errors and
bounds, `weights.nc` holds the network a second time, and all of these must agree. Only the
data settle whether the errors themselves are true.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from aeroact import console, dataset, schema
from aeroact.console import ProgressBar
from aeroact.emulator import CARD_FILE, ONNX_FILE, SUMS_FILE, Emulator, require_fractions
from aeroact.errors import AeroactError
from aeroact.export import bundle, parity, weights
from aeroact.export import card as model_card
from aeroact.export import layers as network_layers
from aeroact.export.bundle import CARD_TEXT_FILE, WEIGHTS_FILE
from aeroact.export.convert import GUARD
from aeroact.export.layers import Layers
from aeroact.export.rewrites import is_quantized
from aeroact.files import sha256
from aeroact.hpo.config import project_of
from aeroact.hpo.run import split_of
from aeroact.metrics import Errors
from aeroact.normalization import Normalization
from aeroact.references import predict_arg2000
from aeroact.regions import Predict, breakdowns, records

if TYPE_CHECKING:
    from rich.table import Table

AGREEMENT = 1e-4
"""Largest relative difference of MSE and of 1 - R2 from the card's, on the card's data."""

_AGREEMENT_OF_REGIONS = 1e-2  # rounding differs between machines, and shows where few rows are

_STATES = 8192  # to compare the networks on, and as many corners: seconds for the largest

Card = dict[str, Any]
Network = tuple[Layers, Normalization]
Part = TypeVar("Part")


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    check : str
        Its name.
    ok : bool
        Whether it passed.
    text : str
        A sentence that names the files.
    """

    check: str
    ok: bool
    text: str


def verify(
    folder: Path, data: Path | None = None, progress: ProgressBar = console.no_progress
) -> list[Finding]:
    """Check a bundle from end to end; a check that fails does not keep others from their work.

    Parameters
    ----------
    folder : Path
        The bundle.
    data : Path, optional
        A dataset with labels on which to measure the emulator again. On the file that the
        card names, MSE and R2 of its holdout must be the card's.
    progress : ProgressBar
        Shows the rows that are predicted.

    Returns
    -------
    list of Finding
        A check that needs a file which cannot be read is left out.

    Raises
    ------
    AeroactError
        If the folder is no bundle.
    """
    if not any((folder / name).is_file() for name in (ONNX_FILE, CARD_FILE, SUMS_FILE)):
        raise AeroactError(
            f"{folder}: not an emulator bundle (no {ONNX_FILE}, {CARD_FILE} or {SUMS_FILE} in it)"
        )
    findings: list[Finding] = []

    def check(name: str, look: Callable[[], str]) -> None:
        try:
            findings.append(Finding(name, True, look()))
        except (AeroactError, OSError) as error:
            findings.append(Finding(name, False, " ".join(str(error).split())))

    def read(name: str, reader: Callable[[Path], Part], text: str) -> Part | None:
        parts: list[Part] = []

        def look() -> str:
            parts.append(reader(folder / name))
            return text

        check(name, look)
        return parts[0] if parts else None

    check("sums", lambda: _sums(folder))
    card = read(CARD_FILE, _read_card, "a model card of this schema, with all that it needs")
    emulator = read(ONNX_FILE, _read_onnx, "passes the ONNX checker and runs")
    network = read(WEIGHTS_FILE, weights.read, "a sound network of this schema")
    if card:
        check("files", lambda: _files(folder, card))
        check(CARD_TEXT_FILE, lambda: _text(folder, card))
    if emulator:
        check("metadata", lambda: _metadata(emulator, network))
        check("fractions", lambda: _fractions(emulator))
    if emulator and card:
        check("card", lambda: _card(folder, card, emulator, network))
    if emulator and network:
        check("parity", lambda: _parity(emulator, network, _allowed(folder, card)))
        check("guard", lambda: _guard(emulator, network[1]))
    if data and emulator and card:
        check("data", lambda: _data(card, emulator, data, progress))
    return findings


def failed(findings: list[Finding]) -> list[str]:
    """Return the names of the checks that failed."""
    return [finding.check for finding in findings if not finding.ok]


def table(findings: list[Finding]) -> "Table":
    """Return the findings as a table."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=f"{len(findings)} checks, {len(failed(findings))} failed")
    shown.add_column("check", no_wrap=True)
    shown.add_column("result", no_wrap=True)
    shown.add_column("finding", overflow="fold")
    for finding in findings:
        result = "ok" if finding.ok else "FAILED"
        shown.add_row(finding.check, result, escape(finding.text))
    return shown


def _sums(folder: Path) -> str:
    listed: dict[str, str] = {}
    text = _read_text(folder / SUMS_FILE)
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *]([^/]+)", line)
        if not match:
            raise AeroactError(f"{SUMS_FILE}: line {number} is not a sum and a file's name")
        listed[match[2]] = match[1]
    there = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    there -= {SUMS_FILE}
    wrong = {
        "missing": listed.keys() - there,
        "not listed": there - listed.keys(),
        "changed": {n for n in listed.keys() & there if sha256(folder / n) != listed[n]},
    }
    _require([f"{what}: {', '.join(sorted(names))}" for what, names in wrong.items() if names])
    return f"all {len(listed)} files have the sums in {SUMS_FILE}"


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise AeroactError(f"{path.name}: is missing") from None
    except ValueError as error:
        raise AeroactError(f"{path.name}: is not UTF-8 text ({error})") from error


def _read_card(path: Path) -> Card:
    def no_number(text: str) -> NoReturn:
        raise ValueError(f"{text} is not JSON")

    try:
        card = json.loads(_read_text(path), parse_constant=no_number)
    except ValueError as error:
        raise AeroactError(f"{CARD_FILE}: not a model card ({error})") from error
    stated = card.get("schema_version") if isinstance(card, dict) else None
    if stated not in (None, schema.SCHEMA_VERSION):
        raise AeroactError(
            f"{CARD_FILE}: has schema version {stated}; this aeroact reads {schema.SCHEMA_VERSION}"
        )
    _require([f"{CARD_FILE}: {fault}" for fault in model_card.faults(card)])
    return card


def _read_onnx(path: Path) -> Emulator:
    import onnx

    if not path.is_file():
        raise AeroactError(f"{ONNX_FILE}: is missing")
    content = path.read_bytes()
    try:
        emulator = Emulator(content)
        onnx.checker.check_model(onnx.load_model_from_string(content), full_check=True)
        shape = emulator.predict(np.ones((3, schema.N_INPUTS), np.float32)).shape
    except Exception as error:  # those of ONNX, ONNX Runtime and protobuf have no common base
        raise AeroactError(f"{ONNX_FILE}: {error}") from error
    if shape != (3, schema.N_OUTPUTS):
        raise AeroactError(f"{ONNX_FILE}: gives fn of shape {shape} for 3 states")
    return emulator


def _changed(folder: Path, card: Card) -> list[str]:
    """Return the files that are not those that the card was written for."""
    files = card["files"]
    return [n for n in files if not (folder / n).is_file() or sha256(folder / n) != files[n]]


def _files(folder: Path, card: Card) -> str:
    unknown = [name for name in (ONNX_FILE, WEIGHTS_FILE) if name not in card["files"]]
    _require(
        [f"{CARD_FILE}: files has no sum of {name}" for name in unknown]
        + [f"{n}: is not the file that the card was written for" for n in _changed(folder, card)]
    )
    return f"all {len(card['files'])} files are those that the card was written for"


def _text(folder: Path, card: Card) -> str:
    import jinja2

    text = _read_text(folder / CARD_TEXT_FILE)
    if card["generator"] != f"aeroact {version('aeroact')}":
        return f"made by {card['generator']}, another version: not compared with {CARD_FILE}"
    try:
        expected = bundle.render(card)
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        raise AeroactError(f"{CARD_FILE}: lacks what {CARD_TEXT_FILE} shows ({error})") from error
    for number, (line, meant) in enumerate(
        zip(text.split("\n"), expected.split("\n"), strict=False), start=1
    ):
        if line != meant:
            raise AeroactError(
                f"{CARD_TEXT_FILE}: line {number} is not what {CARD_FILE} says: {line!r:.80} "
                f"for {meant!r:.80}"
            )
    if text != expected:
        raise AeroactError(f"{CARD_TEXT_FILE}: is shorter or longer than {CARD_FILE} says")
    return f"says what {CARD_FILE} says"


def _entry(emulator: Emulator, key: str) -> Any:
    """Return an entry of the ONNX file's metadata that holds JSON."""
    try:
        return json.loads(emulator.metadata[key])
    except KeyError:
        raise AeroactError(f"{ONNX_FILE}: its metadata have no {key}") from None
    except ValueError as error:
        raise AeroactError(f"{ONNX_FILE}: {key} in its metadata is not JSON ({error})") from error


def _bounds(emulator: Emulator) -> NDArray[np.float64]:
    """Return the lowest and the highest training values, shape (2, 16), of the metadata."""
    stated = _entry(emulator, "training_bounds")
    try:
        bounds = np.array([stated["low"], stated["high"]], np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise AeroactError(
            f"{ONNX_FILE}: training_bounds in its metadata are not numbers ({error})"
        ) from error
    if bounds.shape != (2, schema.N_INPUTS):
        raise AeroactError(f"{ONNX_FILE}: training_bounds have shape {bounds.shape}, not (2, 16)")
    return bounds


def _metadata(emulator: Emulator, network: Network | None) -> str:
    expected = {
        "columns": list(schema.COLUMNS),
        "units": list(schema.COLUMN_UNITS),
        "outputs": list(schema.OUTPUTS),
    }
    wrong = [
        f"{ONNX_FILE}: {key} are not those of schema {schema.SCHEMA_VERSION}"
        for key, values in expected.items()
        if _entry(emulator, key) != values
    ]
    bounds = _bounds(emulator)
    if network:
        layers, normalization = network
        wrong += [
            f"{ONNX_FILE} and {WEIGHTS_FILE} have other training bounds of {column}"
            for column in _differing(bounds, np.stack([normalization.low, normalization.high]))
        ]
        nodes = list(network_layers.widths(layers))
        if _entry(emulator, "nodes") != nodes:
            wrong.append(
                f"{ONNX_FILE} says nodes {_entry(emulator, 'nodes')}, {WEIGHTS_FILE} has {nodes}"
            )
    _require(wrong)
    return f"{ONNX_FILE} has the schema's columns and units, and the bounds of {WEIGHTS_FILE}"


def _differing(bounds: NDArray[np.floating], others: NDArray[np.floating]) -> list[str]:
    """Return the columns whose bounds, shapes (2, 16), are not the same float32."""
    same = bounds.astype(np.float32) == others.astype(np.float32)
    return [schema.COLUMNS[j] for j in np.flatnonzero(~same.all(axis=0))]


def _card(folder: Path, card: Card, emulator: Emulator, network: Network | None) -> str:
    """Compare what the card says with what the networks' files say.

    The card knows the sums of those files. One that still has its sum is as it was, so it is
    the card that was changed.
    """
    changed = _changed(folder, card)
    wrong = []

    def compare(what: str, said: Any, file: str, found: Any) -> None:
        if said == found:
            return
        if file in changed:
            wrong.append(f"{file}: {what} is {found}; {CARD_FILE} says {said}")
        else:
            wrong.append(f"{CARD_FILE}: {what} is {said}; {file} says {found}")

    columns = card["columns"]
    expected = list(zip(schema.COLUMNS, schema.COLUMN_UNITS, strict=True))
    if [(c["name"], c["units"]) for c in columns] != expected:
        raise AeroactError(f"{CARD_FILE}: columns are not those of schema {schema.SCHEMA_VERSION}")
    if card["outputs"] != list(schema.OUTPUTS):
        wrong.append(f"{CARD_FILE}: outputs are not those of schema {schema.SCHEMA_VERSION}")
    bounds = _bounds(emulator)
    for j, column in enumerate(columns):
        for side, found in zip(("low", "high"), bounds[:, j].tolist(), strict=True):
            compare(f"{side} of {column['name']}", column[side], ONNX_FILE, found)

    provenance, holdout = card["provenance"], card["holdout"]
    compare("trial", provenance["trial"], ONNX_FILE, emulator.metadata.get("trial"))
    compare(
        "data.sha256",
        provenance["data"]["sha256"],
        ONNX_FILE,
        emulator.metadata.get("data_sha256"),
    )
    compare("nodes", card["network"]["nodes"], ONNX_FILE, _entry(emulator, "nodes"))
    compare("holdout mse", holdout["mse"], ONNX_FILE, _entry(emulator, "holdout_mse"))
    compare("holdout r2", holdout["r2"], ONNX_FILE, _entry(emulator, "holdout_r2"))
    compare("guard", card["network"]["guard"], ONNX_FILE, _has_guard(emulator))
    if network:
        params = network_layers.params(network[0])
        compare("params", card["network"]["params"], WEIGHTS_FILE, params)
    _require(wrong)
    return f"{CARD_FILE} has the errors, bounds and network of {ONNX_FILE}"


def _fractions(emulator: Emulator) -> str:
    try:
        require_fractions(emulator)
    except AeroactError as error:
        raise AeroactError(f"{ONNX_FILE}: {error}") from error
    return "outputs are within [0, 1] for the most extreme states"


def _allowed(folder: Path, card: Card | None) -> float:
    """Return the largest difference in order; a quantized network has a bound of its own."""
    if card and is_quantized((folder / ONNX_FILE).read_bytes()):
        return float(card["parity"]["bound"])
    return parity.MAX_DIFFERENCE


def _parity(emulator: Emulator, network: Network, bound: float) -> str:
    layers, normalization = network
    corners = parity.corners(normalization)
    chosen = np.random.default_rng(0).choice(len(corners), _STATES, replace=False)
    differences = {
        "drawn states": parity.drawn(normalization, _STATES),
        "corners of the training bounds": corners[chosen],
    }
    largest = {
        where: float(np.abs(emulator.predict(x) - weights.evaluate(layers, normalization, x)).max())
        for where, x in differences.items()
    }
    found = " and ".join(f"{value:.1e} at {_STATES:,} {key}" for key, value in largest.items())
    allowed = max(bound, parity.allowed_beyond_data(layers))
    # Not "any > allowed": a NaN must not pass.
    if not all(difference <= allowed for difference in largest.values()):
        raise AeroactError(
            f"{ONNX_FILE} and {WEIGHTS_FILE} are not the same network: fn differs by up to "
            f"{found}, more than {allowed:g}"
        )
    return f"{ONNX_FILE} and {WEIGHTS_FILE} differ in fn by up to {found}; {allowed:g} is allowed"


def _has_guard(emulator: Emulator) -> bool:
    return GUARD in [output.name for output in emulator.session.get_outputs()]


def _guard(emulator: Emulator, normalization: Normalization) -> str:
    if not _has_guard(emulator):
        return f"{ONNX_FILE} has no output {GUARD}, and need not have one"
    low, high = normalization.low, normalization.high
    beyond = (np.nextafter(low, np.float32(-np.inf)), np.nextafter(high, np.float32(np.inf)))
    edge = [np.where(np.eye(len(low), dtype=bool), past, low) for past in beyond]
    x = np.concatenate([parity.drawn(normalization, 1000), np.stack([low, high]), *edge])
    answers = emulator.session.run([GUARD], {"state": x})[0].astype(bool)
    inside = np.all((x >= low) & (x <= high), axis=1)
    if not np.array_equal(answers, inside):
        raise AeroactError(
            f"{ONNX_FILE}: its output {GUARD} does not go by the training bounds of {WEIGHTS_FILE}"
        )
    return f"the output {GUARD} goes by the training bounds"


def _data(card: Card, emulator: Emulator, path: Path, progress: ProgressBar) -> str:
    try:
        project = project_of(card["provenance"]["project"])
    except AeroactError as error:
        raise AeroactError(f"{CARD_FILE}: provenance.project: {error}") from error
    with dataset.open_dataset(path) as ds:
        if schema.FN.name not in ds:
            raise AeroactError(f"{path}: variable fn is missing; errors need labels")
        report = dataset.check(ds)
        dataset.require_sound(path, report)
        same = sha256(path) == card["provenance"]["data"]["sha256"]
        rows = report.usable
        if same:
            rows = split_of(report, project).holdout
        outside = 0

        def predict(x: NDArray[np.float32]) -> NDArray[np.float32]:
            nonlocal outside
            outside += int((~emulator.in_domain(x)).sum())
            return emulator.predict(x)

        predictors: dict[str, Predict] = {"emulator": predict, "ARG2000": predict_arg2000}
        with progress("Predicting", int(rows.sum()), unit="rows", after=2.0) as show:
            compared = breakdowns(dataset.stream(ds, rows), predictors, show)
    measured, arg2000 = compared["emulator"], compared["ARG2000"]
    errors, said = measured.total.errors, card["holdout"]
    found = f"MSE {errors.mse:.4e} and R2 {errors.r2:.6f} on {errors.rows:,}"
    stated = f"the card says MSE {said['mse']:.4e} and R2 {said['r2']:.6f}"
    if not same:
        return (
            f"{path}: not the card's data; {found} rows, {outside:,} of them outside the training "
            f"bounds; {stated} on its own holdout"
        )
    wrong = [f"{found} holdout rows; {stated} on {said['rows']:,}"] * (not _agree(errors, said))
    if not np.isclose(card["arg2000"]["mse"], arg2000.total.errors.mse, rtol=AGREEMENT, atol=0):
        wrong.append(f"MSE of ARG2000 is {arg2000.total.errors.mse:.4e}, not what it says")
    regions = records(measured, arg2000)
    if len(regions) != len(card["regions"]):
        wrong.append(f"there are {len(regions)} regions, not {len(card['regions'])}")
    wrong += [
        f"the region of {region['title']} {region['range']} has other errors"
        for region, claimed in zip(regions, card["regions"], strict=False)
        if not _same_region(region, claimed)
    ]
    _require([f"{CARD_FILE}: on {path}, {what}" for what in wrong])
    return f"{path}: {found} holdout rows; {stated}"


def _agree(errors: Errors, said: Mapping[str, Any]) -> bool:
    """Return whether measured errors are the card's."""
    by_mode = np.array(said["mse_by_mode"], np.float64)
    unexplained = 1 - errors.r2
    return (
        errors.rows == said["rows"]
        and abs(errors.mse - said["mse"]) <= AGREEMENT * errors.mse
        and abs(unexplained - (1 - said["r2"])) <= AGREEMENT * unexplained
        and by_mode.shape == errors.mse_by_mode.shape
        and np.allclose(by_mode, errors.mse_by_mode, rtol=AGREEMENT, atol=0)
    )


def _same_region(found: Mapping[str, Any], said: Any) -> bool:
    try:
        if any(found[key] != said[key] for key in ("by", "low", "high", "rows")):
            return False
        return not found["rows"] or all(
            math.isclose(found[of]["mse"], said[of]["mse"], rel_tol=_AGREEMENT_OF_REGIONS)
            for of in ("emulator", "arg2000")
        )
    except (KeyError, TypeError):
        return False


def _require(wrong: list[str]) -> None:
    """Raise what is wrong as one line."""
    if wrong:
        raise AeroactError("; ".join(wrong))
