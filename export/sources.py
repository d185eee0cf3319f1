"""Emulators by what a user names: a bundle, an ONNX file, or a whole run."""

from collections.abc import Sequence
from pathlib import Path

from aeroact.emulator import ONNX_FILE, Emulator, verify_sums
from aeroact.errors import AeroactError
from aeroact.export.convert import layers_of, to_onnx
from aeroact.export.run import networks
from aeroact.hpo import network
from aeroact.hpo.folder import RunFolder


def onnx_of(paths: Sequence[Path]) -> dict[str, bytes]:
    """Return the ONNX files of emulators by name.

    Parameters
    ----------
    paths : sequence of Path
        Bundles, ONNX files, or runs, of which all retrained networks are taken.

    Raises
    ------
    AeroactError
        If a path is none of these, or something in it is damaged.
    """
    found: dict[str, bytes] = {}
    for path in paths:
        for name, content in _of(path).items():
            # Two runs may have a trial 07 each.
            found[name if name not in found else f"{path}/{name}"] = content
    return found


def _of(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {path.stem: _read(path)}
    if (path / ONNX_FILE).is_file():
        verify_sums(path)
        return {path.resolve().name: _read(path / ONNX_FILE)}
    folder = RunFolder(path)
    if not folder.exists:
        raise AeroactError(f"{path}: neither a bundle, nor an ONNX file, nor a run")
    normalization = folder.normalization()
    return {
        trial.name: to_onnx(layers_of(network.load(folder.model(trial.name))), normalization, {})
        for trial in networks(folder)
    }


def _read(path: Path) -> bytes:
    content = path.read_bytes()
    try:
        Emulator(content)
    except AeroactError as error:
        raise AeroactError(f"{path}: {error}") from error
    return content
