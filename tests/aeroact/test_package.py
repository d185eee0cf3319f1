"""`import aeroact`: a handful of public names, each imported when it is first asked for."""

import subprocess
import sys

import pytest

import aeroact


def imported_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter holds after running some code."""
    code += "\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("name", aeroact.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(aeroact, name) is not None
    assert name in dir(aeroact)


def test_public_names_are_those_of_their_homes() -> None:
    from aeroact.errors import AeroactError
    from aeroact.physics import parcel
    from aeroact.zoo import load

    assert aeroact.simulate is parcel.simulate
    assert aeroact.load is load
    assert aeroact.AeroactError is AeroactError


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match=r"'aeroact' has no attribute 'simulat'"):
        aeroact.simulat  # noqa: B018 - the access is the test


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = {"numpy", "numba", "xarray", "netCDF4", "onnxruntime", "tensorflow", "keras", "rich"}
    assert not heavy & imported_by("import aeroact")


def test_naming_a_function_does_not_import_tensorflow() -> None:
    loaded = imported_by("import aeroact; aeroact.load, aeroact.simulate, aeroact.states")
    assert "aeroact.zoo" in loaded
    assert not {"tensorflow", "keras", "keras_tuner", "tf2onnx"} & loaded
