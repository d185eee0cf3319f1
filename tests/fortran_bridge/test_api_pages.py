"""The API pages that FORD makes: nothing public lacks a sentence, and no link leads nowhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run_command

pytest.importorskip("ford", reason="needs FORD: pip install ford")

BRIDGE = Path(__file__).parents[2] / "fortran_bridge"
FOR_HOSTS = {
    *("aeroact", "aeroact_models", "aeroact_runtime", "aeroact_files", "aeroact_native"),
    *("aeroact_schema", "aeroact_status"),
    *("aeroact_mam4", "aeroact_mam4_counts", "aeroact_arg2000"),
}
"""Modules where each argument and each constant is explained, too. The others are what these
are made of: there the names of types and procedures are."""


@pytest.fixture(scope="module")
def modules() -> list[Any]:
    from ford.fortran_project import Project
    from ford.settings import load_markdown_settings

    settings, _ = load_markdown_settings(BRIDGE, (BRIDGE / "ford.md").read_text())
    settings.normalise_paths(BRIDGE)
    project = Project(settings)
    project.correlate()
    return project.modules


def public_items(module: Any) -> Iterator[tuple[str, Any]]:
    """All that a module offers, by name; FORD has left out what is private."""
    in_detail = module.name in FOR_HOSTS
    yield module.name, module
    for variable in module.variables if in_detail else ():
        yield f"{module.name}.{variable.name}", variable
    for procedure in (*module.functions, *module.subroutines):
        yield from call_items(module, procedure.name, procedure)
    for generic in module.interfaces:
        yield f"{module.name}.{generic.name}", generic
        for specific in generic.modprocs:
            yield from call_items(module, generic.name, specific.procedure)
    for kind in module.types:
        yield f"{module.name}.{kind.name}", kind
        for component in kind.variables if in_detail else ():
            yield f"{module.name}.{kind.name}%{component.name}", component
        for method in kind.boundprocs:
            for specific in procedures_of(method):
                yield from call_items(module, f"{kind.name}%{method.name}", specific)


def procedures_of(method: Any) -> Iterator[Any]:
    for binding in method.bindings:
        if hasattr(binding, "bindings"):  # of a generic one
            yield from procedures_of(binding)
        else:
            yield binding


def call_items(module: Any, name: str, procedure: Any) -> Iterator[tuple[str, Any]]:
    yield f"{module.name}.{name}", procedure
    if module.name in FOR_HOSTS:
        for argument in procedure.args:
            if "class(" not in argument.full_type:  # the object itself
                yield f"{module.name}.{name}({argument.name})", argument


def test_the_modules_for_hosts_are_there(modules):
    assert {module.name for module in modules} > FOR_HOSTS
    names = {name for module in modules for name, _ in public_items(module)}
    assert {"aeroact_models.aeroact_model%load(path)", "aeroact_status.AEROACT_OK"} <= names


def test_everything_public_is_explained(modules):
    silent = {name for m in modules for name, item in public_items(m) if not item.doc_list}
    assert sorted(silent) == []


@pytest.mark.slow
def test_the_pages_are_made_without_a_warning(tmp_path):
    done = run_command("ford", BRIDGE / "ford.md", "--output_dir", tmp_path / "api")
    assert done.returncode == 0, done.stderr
    assert "arning" not in done.stdout + done.stderr
    assert (tmp_path / "api" / "type" / "aeroact_model.html").is_file()
