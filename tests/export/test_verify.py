"""A bundle that is whole passes; whatever was changed, the checks name it."""

import json
import shutil

import netCDF4
import numpy as np
import onnx
import pytest

from aeroact import dataset
from aeroact.errors import AeroactError
from aeroact.export import bundle
from aeroact.export.card import _NEEDED
from aeroact.export.verify import failed, table, verify
from aeroact.files import sha256
from tests.export import small_emulator


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "small"
    small_emulator.write_bundle(folder, data, guard=True)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A bundle to spoil."""
    return shutil.copytree(whole, tmp_path / "small")


def renew_sums(folder):
    """What whoever changes a file on purpose does too."""
    names = sorted(f.name for f in folder.iterdir() if f.name != "SHA256SUMS")
    sums = "".join(f"{sha256(folder / name)}  {name}\n" for name in names)
    (folder / "SHA256SUMS").write_text(sums)


def edit_card(folder, path, value, *, text=False):
    """Change the card, and its text with it."""
    card = json.loads((folder / "card.json").read_text())
    *parents, last = path.split(".")
    inner = card
    for key in parents:
        inner = inner[int(key)] if isinstance(inner, list) else inner[key]
    inner[last] = value
    (folder / "card.json").write_text(json.dumps(card))
    if text:
        (folder / "CARD.md").write_text(bundle.render(card))


def edit_metadata(folder, key, value):
    model = onnx.load(folder / "emulator.onnx")
    entry = next(entry for entry in model.metadata_props if entry.key == key)
    entry.value = value
    (folder / "emulator.onnx").write_bytes(model.SerializeToString())


def edit_onnx_weight(folder, name="kernel_2"):
    model = onnx.load(folder / "emulator.onnx")
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.flat[0] += 0.2
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))
    (folder / "emulator.onnx").write_bytes(model.SerializeToString())


def edit_weights(folder, name="kernel_2"):
    with netCDF4.Dataset(folder / "weights.nc", "r+") as file:
        values = file[name][:]
        values.flat[0] += 0.2
        file[name][:] = values


def said(findings, check):
    """What a check that failed said."""
    (finding,) = [f for f in findings if f.check == check]
    assert not finding.ok, finding
    assert "\n" not in finding.text
    return finding.text


def test_a_whole_bundle_passes(whole, data):
    findings = verify(whole, data)
    assert failed(findings) == [], findings
    assert [finding.check for finding in findings] == [
        "sums",
        "card.json",
        "emulator.onnx",
        "weights.nc",
        "files",
        "CARD.md",
        "metadata",
        "fractions",
        "card",
        "parity",
        "guard",
        "data",
    ]
    assert "1,600 holdout rows" in findings[-1].text


def test_a_bundle_without_guard_passes(data, tmp_path):
    small_emulator.write_bundle(tmp_path / "plain", data)
    assert failed(verify(tmp_path / "plain")) == []


@pytest.mark.parametrize(
    "name", ["emulator.onnx", "weights.nc", "card.json", "CARD.md", "SHA256SUMS"]
)
@pytest.mark.parametrize("how", ["remove", "append"])
def test_accidents_are_found_by_the_sums(folder, name, how):
    if how == "remove":
        (folder / name).unlink()
    else:
        with (folder / name).open("ab") as file:
            file.write(b"\n")
    found = said(verify(folder), "sums")
    assert name in found
    if name != "SHA256SUMS":
        assert found == f"{'missing' if how == 'remove' else 'changed'}: {name}"


def test_a_file_that_is_not_listed_is_named(folder):
    (folder / "stale.txt").touch()
    (folder / "more").mkdir()
    (folder / "more" / "weights.nc").touch()
    findings = verify(folder)
    assert said(findings, "sums") == "not listed: more/weights.nc, stale.txt"
    assert failed(findings) == ["sums"]


def test_a_sum_of_a_file_elsewhere_is_no_sum(folder):
    with (folder / "SHA256SUMS").open("a") as file:
        file.write("0" * 64 + "  ../other\n")
    assert "line 5 is not a sum" in said(verify(folder), "sums")


def test_a_weight_in_weights_nc(folder):
    edit_weights(folder)
    renew_sums(folder)
    findings = verify(folder)
    assert failed(findings) == ["files", "parity"]
    assert said(findings, "files") == "weights.nc: is not the file that the card was written for"
    assert "not the same network" in said(findings, "parity")


def test_a_weight_in_the_onnx_file(folder):
    edit_onnx_weight(folder)
    renew_sums(folder)
    findings = verify(folder)
    assert failed(findings) == ["files", "parity"]
    assert said(findings, "files") == "emulator.onnx: is not the file that the card was written for"


@pytest.mark.parametrize("edit", [edit_weights, edit_onnx_weight])
def test_a_weight_with_all_sums_renewed(folder, edit):
    edit(folder)
    for name in ("emulator.onnx", "weights.nc"):
        card = json.loads((folder / "card.json").read_text())
        card["files"][name] = sha256(folder / name)
        (folder / "card.json").write_text(json.dumps(card))
    renew_sums(folder)
    assert failed(verify(folder)) == ["parity"]


def quantize(folder):
    """Pass the fractions through eight bits."""

    def edit(model):
        (node,) = [node for node in model.graph.node if "fn" in node.output]
        node.output[0] = "exact"
        step = onnx.numpy_helper.from_array(np.array(1 / 255, np.float32), "step")
        model.graph.initializer.append(step)
        model.graph.node.extend(
            [
                onnx.helper.make_node("QuantizeLinear", ["exact", "step"], ["bits"]),
                onnx.helper.make_node("DequantizeLinear", ["bits", "step"], ["fn"]),
            ]
        )

    edit_graph(folder, edit)


@pytest.mark.parametrize("bound", [1e-2, 1e-3])
def test_only_a_network_in_integers_has_a_bound_of_its_own(folder, bound):
    edit_card(folder, "parity.bound", bound)
    assert "5e-06 is allowed" in next(f.text for f in verify(folder) if f.check == "parity")
    quantize(folder)
    findings = verify(folder)
    # Half of a step is 2e-3.
    assert ("parity" in failed(findings)) == (bound < 2e-3)


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("holdout.mse", 1e-9, "card.json: holdout mse is 1e-09; emulator.onnx says"),
        ("holdout.r2", 0.99999, "card.json: holdout r2 is 0.99999; emulator.onnx says"),
        ("columns.0.low", 100.0, "card.json: low of tair is 100.0; emulator.onnx says"),
        ("columns.3.high", 9e9, "card.json: high of wbar is 9000000000.0; emulator.onnx says"),
        ("columns.1.name", "p", "card.json: columns are not those of schema 1"),
        ("columns.1.units", "Pa", "card.json: columns are not those of schema 1"),
        ("outputs", ["fn"], "card.json: outputs are not those of schema 1"),
        ("network.nodes", [8], "card.json: nodes is [8]; emulator.onnx says [8, 12]"),
        ("network.params", 3, "card.json: params is 3; weights.nc says 296"),
        ("network.guard", False, "card.json: guard is False; emulator.onnx says True"),
        ("provenance.trial", "8", "card.json: trial is 8; emulator.onnx says 7"),
        ("provenance.data.sha256", "0" * 64, "card.json: data.sha256 is 000"),
    ],
)
def test_what_was_changed_in_the_card(folder, path, value, found):
    if path == "outputs":
        value = value * 4
    edit_card(folder, path, value, text=True)
    renew_sums(folder)
    findings = verify(folder)
    assert failed(findings) == ["card"]
    assert found in said(findings, "card")


def test_the_text_of_the_card(folder):
    path = folder / "CARD.md"
    path.write_text(path.read_text().replace("Not for", "Also for"))
    renew_sums(folder)
    findings = verify(folder)
    assert failed(findings) == ["CARD.md"]
    assert "'## Also for' for '## Not for'" in said(findings, "CARD.md")
    path.write_text(path.read_text().replace("Also for", "Not for").removesuffix("\n"))
    assert "shorter" in said(verify(folder), "CARD.md")


def test_the_text_of_another_version_is_not_compared(folder):
    edit_card(folder, "generator", "aeroact 0.0.1")
    renew_sums(folder)
    findings = verify(folder)
    assert failed(findings) == []
    assert any("another version" in finding.text for finding in findings)


def test_a_card_that_cannot_be_shown(folder):
    edit_card(folder, "cost", {"us_per_sample": 1.0, "multiple_of_arg2000": 2.0})
    assert "card.json: lacks what CARD.md shows" in said(verify(folder), "CARD.md")


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("holdout_mse", "1e-9", "emulator.onnx: holdout mse is 1e-09; card.json says"),
        ("trial", "8", "emulator.onnx: trial is 8; card.json says 7"),
        ("nodes", "[8]", "emulator.onnx: nodes is [8]; card.json says [8, 12]"),
        ("data_sha256", "00", "emulator.onnx: data.sha256 is 00; card.json says"),
    ],
)
def test_what_was_changed_in_the_metadata(folder, key, value, found):
    edit_metadata(folder, key, value)
    renew_sums(folder)
    findings = verify(folder)
    assert {"files", "card"} <= set(failed(findings))
    assert found in said(findings, "card")


@pytest.mark.parametrize("where", ["emulator.onnx", "weights.nc"])
def test_bounds(folder, where):
    if where == "weights.nc":
        edit_weights(folder, "high")
    else:
        bounds = {"low": [0.0] * 16, "high": [9.0] * 16}
        edit_metadata(folder, "training_bounds", json.dumps(bounds))
    renew_sums(folder)
    findings = verify(folder)
    assert said(findings, "files").startswith(where)
    assert "other training bounds of tair" in said(findings, "metadata")
    if where == "emulator.onnx":
        assert "emulator.onnx: low of tair is 0.0; card.json says" in said(findings, "card")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("columns", '["tair"]'),
        ("units", "K"),
        ("outputs", "[]"),
        ("training_bounds", "3"),
        ("training_bounds", '{"low": [1], "high": [2]}'),
        ("training_bounds", '{"low": "a", "high": "b"}'),
        ("nodes", "eight"),
    ],
)
def test_metadata_that_are_wrong_or_no_json(folder, key, value):
    edit_metadata(folder, key, value)
    found = said(verify(folder), "metadata")
    assert "emulator.onnx" in found
    assert key in found


def test_metadata_that_are_missing(folder):
    model = onnx.load(folder / "emulator.onnx")
    kept = [entry for entry in model.metadata_props if entry.key in {"schema_version", "trial"}]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    (folder / "emulator.onnx").write_bytes(model.SerializeToString())
    findings = verify(folder)
    assert said(findings, "metadata") == "emulator.onnx: its metadata have no columns"
    assert said(findings, "card") == "emulator.onnx: its metadata have no training_bounds"


def test_a_guard_that_lets_everything_pass(folder):
    edit_onnx_weight(folder, "low")
    assert "weights.nc" in said(verify(folder), "guard")


def edit_graph(folder, edit):
    model = onnx.load(folder / "emulator.onnx")
    edit(model)
    (folder / "emulator.onnx").write_bytes(model.SerializeToString())


def test_a_graph_that_gives_more_than_fractions(folder):
    def edit(model):
        (node,) = [node for node in model.graph.node if node.op_type == "Sigmoid"]
        node.op_type = "Relu"

    edit_graph(folder, edit)
    assert said(verify(folder), "fractions").startswith("emulator.onnx: ")


def test_a_graph_that_gives_one_row_for_all(folder):
    def edit(model):
        (node,) = [node for node in model.graph.node if "fn" in node.output]
        node.output[0] = "all"
        first = onnx.numpy_helper.from_array(np.array([0]), "first")
        model.graph.initializer.append(first)
        model.graph.node.append(onnx.helper.make_node("Gather", ["all", "first"], ["fn"], axis=0))

    edit_graph(folder, edit)
    found = said(verify(folder), "emulator.onnx")
    assert found == "emulator.onnx: gives fn of shape (1, 4) for 3 states"


def test_a_graph_that_only_the_checker_refuses(folder):
    def edit(model):
        model.graph.name = ""

    edit_graph(folder, edit)
    assert "name" in said(verify(folder), "emulator.onnx")


@pytest.mark.parametrize("name", ["emulator.onnx", "weights.nc"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_is_a_finding(folder, name, part):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(part * len(content))])
    findings = verify(folder)
    assert name in said(findings, name)
    assert "parity" not in [finding.check for finding in findings]
    assert "CARD.md" not in failed(findings)


@pytest.mark.parametrize("name", ["emulator.onnx", "weights.nc", "card.json"])
def test_another_schema_version(folder, name):
    if name == "card.json":
        edit_card(folder, "schema_version", "2")
    elif name == "weights.nc":
        with netCDF4.Dataset(folder / name, "r+") as file:
            file.schema_version = "2"
    else:
        edit_metadata(folder, "schema_version", "2")
    renew_sums(folder)
    found = said(verify(folder), name)
    assert name in found
    assert "schema" in found
    assert "2" in found


@pytest.mark.parametrize("path", _NEEDED)
def test_a_missing_key_is_named(folder, path):
    card = json.loads((folder / "card.json").read_text())
    *parents, last = path.split(".")
    inner = card
    for key in parents:
        inner = inner[key]
    del inner[last]
    (folder / "card.json").write_text(json.dumps(card))
    findings = verify(folder)
    assert said(findings, "card.json") == f"card.json: {path} is missing"
    # What does not need the card goes on.
    assert {"metadata", "fractions", "parity", "guard"} <= {f.check for f in findings if f.ok}


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b'"card"', b"\xff\xfe", b'{"mse": NaN}']
)
def test_what_is_no_card(folder, content):
    (folder / "card.json").write_bytes(content)
    assert said(verify(folder), "card.json").startswith("card.json: ")


def test_a_nan_anywhere_in_the_card(folder):
    edit_card(folder, "cost.clock_mhz", float("nan"))
    assert "NaN is not JSON" in said(verify(folder), "card.json")


def test_a_card_without_the_sum_of_a_network(folder):
    card = json.loads((folder / "card.json").read_text())
    edit_card(folder, "files", {"emulator.onnx": card["files"]["emulator.onnx"]})
    assert said(verify(folder), "files") == "card.json: files has no sum of weights.nc"


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_is_no_bundle(tmp_path, there):
    folder = tmp_path / "other"
    if there:
        folder.mkdir()
        (folder / "readme.txt").touch()
    with pytest.raises(AeroactError, match=r"other: not an emulator bundle .*in it\)$"):
        verify(folder)


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("holdout.mse", 3.7e-4, "the card says MSE 3.7000e-04"),
        ("holdout.r2", 0.9954, "the card says MSE"),
        ("holdout.rows", 1601, "on 1,601"),
        ("holdout.mse_by_mode", [1e-4] * 4, "the card says MSE"),
        ("holdout.mse_by_mode", [1e-4], "the card says MSE"),
        ("arg2000.mse", 0.9, "MSE of ARG2000 is"),
        ("regions.2.emulator.mse", 1e-9, "temperature 273 to 293 K has other errors"),
        ("regions.2.arg2000.mse", 1.0, "temperature 273 to 293 K has other errors"),
        ("regions.2.rows", 1, "temperature 273 to 293 K has other errors"),
        ("regions.2.emulator", None, "temperature 273 to 293 K has other errors"),
        ("regions", [], "regions, not 0"),
        ("provenance.project.seed", 4, "the card says MSE"),
        ("provenance.project.seed", -1, "card.json: provenance.project: seed"),
    ],
)
def test_only_the_data_tell_what_was_made_up_everywhere(folder, data, path, value, found):
    edit_card(folder, path, value)
    for key in ("mse", "r2"):
        if path == f"holdout.{key}":
            edit_metadata(folder, f"holdout_{key}", json.dumps(value))
    findings = verify(folder, data)
    assert found in said(findings, "data")
    assert "card" not in failed(findings)


def test_other_data_are_shown_beside_the_card(folder, tmp_path):
    other = tmp_path / "other.nc"
    x = small_emulator.STATES[:500].copy()
    x[:7, 0] = 200.0
    ds = dataset.from_arrays(x, np.full((500, 4), 0.25, np.float32))
    dataset.write(ds, other, title="Other data", command="test")
    findings = verify(folder, other)
    assert failed(findings) == []
    text = findings[-1].text
    assert f"{other}: not the card's data" in text
    assert "on 500 rows" in text
    outside = int(text.split(" rows, ")[1].split()[0])
    low, high = small_emulator.STATISTICS.low, small_emulator.STATISTICS.high
    assert outside == int((~((x >= low) & (x <= high)).all(axis=1)).sum()) >= 7


@pytest.mark.parametrize("what", ["gone", "no labels", "no fractions", "no NetCDF"])
def test_data_that_cannot_be_used(folder, tmp_path, what):
    path = tmp_path / "bad.nc"
    if what == "no labels":
        ds = dataset.from_arrays(small_emulator.STATES[:50])
        dataset.write(ds, path, title="States", command="test")
    elif what == "no fractions":
        ds = dataset.from_arrays(small_emulator.STATES[:50], np.full((50, 4), 2.0, np.float32))
        dataset.write(ds, path, title="Wrong", command="test")
    elif what == "no NetCDF":
        path.write_text("no")
    findings = verify(folder, path)
    assert failed(findings) == ["data"]
    assert said(findings, "data").startswith(f"{path}: ")


def test_the_table_has_every_finding(folder):
    edit_card(folder, "holdout.mse", 1e-9)
    findings = verify(folder)
    shown = table(findings)
    assert shown.row_count == len(findings)
    assert shown.title == f"{len(findings)} checks, {len(failed(findings))} failed"
    assert list(shown.columns[1].cells).count("FAILED") == len(failed(findings)) > 0
