"""Where a chief is to be found: a file for its owner's eyes, and a key that fits."""

import json
import os
import ssl
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from aeroact.hpo.cluster.post import NAME, Post, new_secret
from aeroact.hpo.folder import RunFolder


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def post(**other) -> Post:
    return replace(Post("10.0.0.1", 5000, "n1", 12, "77", 1.5, *new_secret()), **other)


def file_of(folder: RunFolder) -> Path:
    return folder.path / "cluster" / "chief.json"


def test_a_post_is_read_as_it_was_written(folder):
    written = post()
    written.write(folder)
    assert Post.read(folder) == written


def test_without_a_chief_there_is_no_post(folder):
    assert Post.read(folder) is None


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_nobody_but_its_owner_may_read_the_secret(folder, umask):
    before = os.umask(umask)
    try:
        post().write(folder)
        post().write(folder)  # and so it stays
    finally:
        os.umask(before)
    assert stat.S_IMODE(file_of(folder).stat().st_mode) == 0o600


def test_nobody_may_read_the_secret_while_it_is_written(folder, monkeypatch):
    modes: list[int] = []
    write = Path.write_text

    def look(path: Path, *args, **kwargs) -> int:
        written = write(path, *args, **kwargs)
        modes.append(stat.S_IMODE(path.stat().st_mode))
        return written

    monkeypatch.setattr(Path, "write_text", look)
    before = os.umask(0)
    try:
        post().write(folder)
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_who_reads_while_another_chief_writes_finds_a_whole_post(folder, monkeypatch):
    first, second = post(), post()
    first.write(folder)
    seen: list[Post | None] = []
    write = Path.write_text

    def write_half(path: Path, text: str, **kwargs) -> int:
        write(path, text[:100], **kwargs)
        seen.append(Post.read(folder))
        return write(path, text, **kwargs)

    monkeypatch.setattr(Path, "write_text", write_half)
    second.write(folder)
    assert seen == [first]
    assert Post.read(folder) == second
    assert [path.name for path in file_of(folder).parent.iterdir()] == ["chief.json"]


def test_a_chief_takes_back_its_own_post_alone(folder):
    mine, anothers = post(), post()
    anothers.write(folder)
    mine.remove(folder)
    assert Post.read(folder) == anothers
    anothers.remove(folder)
    assert not file_of(folder).exists()
    anothers.remove(folder)


def test_the_post_holds_nothing_else(folder):
    post().write(folder)
    names = {"address", "port", "host", "pid", "job", "started", "certificate", "key"}
    assert json.loads(file_of(folder).read_text()).keys() == names


def test_the_key_belongs_to_the_certificate_and_no_two_are_alike(tmp_path):
    """Against OpenSSL, which refuses a key that does not fit."""
    (certificate, key), (other, _) = new_secret(), new_secret()
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    for text in (certificate, other):
        files[0].write_text(text)
        files[1].write_text(key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if text == certificate:
            context.load_cert_chain(*files)
        else:
            with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
                context.load_cert_chain(*files)


def test_the_certificate_vouches_for_the_run_whatever_the_address_now_and_for_years():
    from datetime import UTC, datetime, timedelta

    from cryptography import x509

    text, _ = new_secret()
    certificate = x509.load_pem_x509_certificate(text.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    # A clock that is an hour late, and a search that takes a year.
    now = datetime.now(UTC)
    assert certificate.not_valid_before_utc < now - timedelta(hours=1)
    assert certificate.not_valid_after_utc > now + timedelta(days=365)
