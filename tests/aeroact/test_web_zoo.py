"""Emulators from behind https: fetched once, whole, and only what the index lists."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

import aeroact
from aeroact import https, zoo
from aeroact.errors import AeroactError
from tests import disks, small_bundle
from tests.https_server import Server, send, serving, write_certificate
from tests.small_bundle import flip_a_bit, sign

NAME = "mam4-light"
FILES = ["CARD.md", "SHA256SUMS", "card.json", "emulator.onnx"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(autouse=True)
def cache(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where downloads are kept; the certificate is trusted, and no proxy is asked."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.delenv("AEROACT_ZOO", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "aeroact" / "zoo"


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The folder that is served: a zoo of two."""
    folder = tmp_path / "served"
    for name in (NAME, "mam4-best"):
        small_bundle.write(folder / name)
    zoo.write_index(folder)
    return folder


@pytest.fixture
def server(served: Path, certificate: tuple[Path, Path]) -> Iterator[Server]:
    with serving(served, certificate) as running:
        yield running


def index_of(server: Server) -> str:
    return f"{server.url}index.json"


def kept(cache: Path) -> list[str]:
    """Bundles in the cache, and whatever else is there but locks and indices."""
    return sorted(
        str(path.relative_to(cache)).partition("/")[2]
        for path in cache.glob("*/*")
        if path.name != ".lock"
    )


# Once, and then from here


def test_an_emulator_is_fetched_and_loaded(server: Server, cache: Path) -> None:
    emulator = aeroact.load(NAME, zoo=index_of(server))
    assert emulator.card["name"] == NAME
    assert sorted(server.asked) == ["/index.json", *(f"/{NAME}/{file}" for file in FILES)]
    assert kept(cache) == [NAME]


def test_the_second_load_needs_no_network(
    served: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(served, certificate) as server:
        address = index_of(server)
        aeroact.load(NAME, zoo=address)
        del server.asked[:]
        monkeypatch.setenv("AEROACT_ZOO", address)
        aeroact.load(NAME)
        assert server.asked == []
    assert aeroact.load(NAME).card["name"] == NAME
    with pytest.raises(AeroactError, match=r"index\.json: cannot be reached .*is there a network"):
        aeroact.load("mam4-best")


def test_a_kept_emulator_stays_until_the_index_is_looked_at_anew(
    server: Server, served: Path, cache: Path
) -> None:
    aeroact.load(NAME, zoo=index_of(server))
    (served / NAME / "card.json").write_text(json.dumps(small_bundle.card(holdout={"mse": 0.125})))
    sign(served / NAME)
    zoo.write_index(served)
    assert aeroact.load(NAME, zoo=index_of(server)).card["holdout"]["mse"] == 0.25
    (listed,) = (e for e in zoo.open_zoo(index_of(server)).entries() if e.name == NAME)
    assert listed.mse == 0.125
    assert aeroact.load(NAME, zoo=index_of(server)).card["holdout"]["mse"] == 0.125
    assert kept(cache) == [NAME, NAME]  # each under its own sum


def test_a_kept_file_that_was_damaged_is_fetched_again(server: Server, cache: Path) -> None:
    aeroact.load(NAME, zoo=index_of(server))
    flip_a_bit(next(cache.glob(f"*/{NAME}/emulator.onnx")))
    del server.asked[:]
    assert aeroact.load(NAME, zoo=index_of(server)).card["name"] == NAME
    assert f"/{NAME}/emulator.onnx" in server.asked
    assert kept(cache) == [NAME]


def test_a_kept_index_that_was_damaged_is_fetched_again(server: Server, cache: Path) -> None:
    aeroact.load(NAME, zoo=index_of(server))
    (index,) = cache.glob("*.json")
    index.write_text("{")
    aeroact.load(NAME, zoo=index_of(server))
    assert "emulators" in json.loads(index.read_text())


def test_many_at_once_fetch_it_once(server: Server, cache: Path) -> None:
    failures = []

    def load() -> None:
        try:
            aeroact.load(NAME, zoo=index_of(server))
        except Exception as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert server.asked.count(f"/{NAME}/emulator.onnx") == 1
    assert kept(cache) == [NAME]


def test_the_cache_is_in_the_home_folder_by_default(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    aeroact.load(NAME, zoo=index_of(server))
    assert kept(tmp_path / "home" / ".cache" / "aeroact" / "zoo") == [NAME]


def test_a_misspelt_name_is_answered_with_the_right_one(server: Server) -> None:
    with pytest.raises(AeroactError, match=r"which has mam4-best, mam4-light, .* you mean mam4-l"):
        aeroact.load("mam4-lihgt", zoo=index_of(server))


def test_progress_is_told_in_bytes(server: Server) -> None:
    told: list[Any] = []

    class Show:
        def __init__(self, title: str, total: int, **_: Any) -> None:
            told.append((title, total))

        def __enter__(self) -> Any:
            return lambda done, note="": told.append(done)

        def __exit__(self, *_: object) -> None:
            pass

    zoo.find(NAME, index_of(server), Show)  # type: ignore[arg-type]
    assert told[0] == (f"Fetching {NAME}", told[-1])


# What is not fetched


def test_http_is_refused_unasked(served: Path) -> None:
    with serving(served, None) as plain:
        with pytest.raises(AeroactError, match=r"http://.*not a zoo; that is .* plain https://"):
            aeroact.load(NAME, zoo=index_of(plain))
        with pytest.raises(AeroactError, match="not an https address"):
            list(https.chunks(index_of(plain), 100))
        assert plain.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "https://localhost/",
        "https://localhost/index.html",
        "https://localhost/index.json?token=1",
        "https://localhost/index.json#a",
        "https://user:secret@localhost/index.json",
        "https://local host/index.json",
        "https://localhost/ä/index.json",
        "https://localhost/a b/index.json",
        "https://localhost/\n/index.json",
        "https:///index.json",
        "HTTPS://localhost/index.json",
        "ftp://localhost/index.json",
        "file:///etc/index.json",
    ],
)
def test_what_is_no_address_of_an_index_is_refused(address: str) -> None:
    with pytest.raises(AeroactError, match="not a zoo; that is a folder, or"):
        zoo.open_zoo(address)


def redirect(target: str) -> Any:
    return lambda request: send(request, 302, Location=target, Content_Length=0)


@pytest.mark.parametrize("path", ["/index.json", f"/{NAME}/emulator.onnx"])
def test_a_redirection_to_http_is_refused(
    path: str, server: Server, served: Path, cache: Path
) -> None:
    with serving(served, None) as plain:
        server.answers[path] = redirect(plain.url + path[1:])
        with pytest.raises(AeroactError, match=r"redirected to http://.*not an https address"):
            aeroact.load(NAME, zoo=index_of(server))
        assert plain.asked == []
    assert kept(cache) == []


def test_a_redirection_to_another_https_server_is_followed(
    server: Server, served: Path, certificate: tuple[Path, Path]
) -> None:
    with serving(served, certificate) as other:
        server.answers[f"/{NAME}/emulator.onnx"] = redirect(f"{other.url}{NAME}/emulator.onnx")
        aeroact.load(NAME, zoo=index_of(server))
        assert other.asked == [f"/{NAME}/emulator.onnx"]


def test_a_circle_of_redirections_is_one_line(server: Server) -> None:
    server.answers["/index.json"] = redirect("/index.json")
    with pytest.raises(AeroactError, match="the server answers 302") as caught:
        aeroact.load(NAME, zoo=index_of(server))
    assert "\n" not in str(caught.value)


def test_a_certificate_that_nobody_vouches_for_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(AeroactError, match=r"its certificate is not trusted \(self.signed"):
        aeroact.load(NAME, zoo=index_of(server))
    assert server.asked == []


def test_a_certificate_of_another_host_is_refused(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_certificate(tmp_path / "other", "elsewhere.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(other[0]))
    with serving(served, other) as server:
        with pytest.raises(AeroactError, match=r"not trusted \(Hostname mismatch"):
            aeroact.load(NAME, zoo=index_of(server))
        assert server.asked == []


def test_a_server_that_speaks_no_https_is_one_line(served: Path) -> None:
    with (
        serving(served, None) as plain,
        pytest.raises(AeroactError, match="cannot be reached"),
    ):
        aeroact.load(NAME, zoo=index_of(plain).replace("http://", "https://"))


def test_no_such_host_is_one_line() -> None:
    with pytest.raises(AeroactError, match=r"cannot be reached .*is there a network\?"):
        aeroact.load(NAME, zoo="https://no-such-host.invalid/index.json")


@pytest.mark.parametrize("path", ["/index.json", f"/{NAME}/card.json"])
@pytest.mark.parametrize("status", [403, 404, 500])
def test_what_the_server_does_not_have_is_named(
    path: str, status: int, server: Server, cache: Path
) -> None:
    server.answers[path] = lambda request: send(request, status, b"<html>", Content_Length=6)
    with pytest.raises(AeroactError, match=rf"localhost:\d+{path}: the server answers {status}"):
        aeroact.load(NAME, zoo=index_of(server))
    assert kept(cache) == []


# What is not what it should be


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_and_nothing_is_kept(
    name: str, server: Server, served: Path, cache: Path
) -> None:
    flip_a_bit(served / NAME / name)
    with pytest.raises(AeroactError, match=rf"/{NAME}/{name}: damaged, or not the file that"):
        aeroact.load(NAME, zoo=index_of(server))
    assert kept(cache) == []


def test_sums_that_are_not_those_of_the_index_are_refused(
    server: Server, served: Path, cache: Path
) -> None:
    index = json.loads((served / "index.json").read_text())
    (record,) = (r for r in index["emulators"] if r["name"] == NAME)
    del record["files"]["CARD.md"]
    (served / "index.json").write_text(json.dumps(index))
    with pytest.raises(AeroactError, match=f"{NAME}: not what its SHA256SUMS says"):
        aeroact.load(NAME, zoo=index_of(server))
    assert kept(cache) == []


@pytest.mark.parametrize("bad", ["../../evil", "/evil", "..%2fevil", ".bashrc"])
@pytest.mark.parametrize("field", ["name", "files"])
def test_names_that_lead_elsewhere_are_refused_before_anything_is_fetched(
    bad: str, field: str, server: Server, served: Path, tmp_path: Path
) -> None:
    index = json.loads((served / "index.json").read_text())
    record = index["emulators"][0]
    record[field] = bad if field == "name" else {**record["files"], bad: "0" * 64}
    (served / "index.json").write_text(json.dumps(index))
    with pytest.raises(AeroactError, match=f"not the index of a zoo .{field} is"):
        aeroact.load(NAME, zoo=index_of(server))
    assert server.asked == ["/index.json"]
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("content", [b"", b"{", b"<html></html>", b"\xff\xfe"])
def test_an_index_that_is_none_is_not_kept(content: bytes, server: Server, cache: Path) -> None:
    server.answers["/index.json"] = lambda request: send(request, 200, content)
    with pytest.raises(AeroactError, match=r"index\.json: not the index of a zoo"):
        aeroact.load(NAME, zoo=index_of(server))
    assert not cache.exists()


def test_an_index_of_another_version_is_refused(server: Server) -> None:
    server.answers["/index.json"] = lambda request: send(request, 200, b'{"index_version": "2"}')
    with pytest.raises(AeroactError, match="index version '2'; this aeroact reads 1"):
        aeroact.load(NAME, zoo=index_of(server))


@pytest.mark.parametrize("path", ["/index.json", f"/{NAME}/emulator.onnx"])
def test_a_download_that_is_cut_short_is_named_and_nothing_is_kept(
    path: str, server: Server, served: Path, cache: Path
) -> None:
    content = (served / path[1:]).read_bytes()
    server.answers[path] = lambda request: send(
        request, 200, content[:100], Content_Length=len(content)
    )
    with pytest.raises(AeroactError, match=rf"{path}: broke off after 100 of {len(content)} bytes"):
        aeroact.load(NAME, zoo=index_of(server))
    assert kept(cache) == []


def test_chunks_that_are_cut_short_are_named(server: Server) -> None:
    server.answers["/index.json"] = lambda request: send(
        request, 200, b"5\r\nabc", Transfer_Encoding="chunked"
    )
    with pytest.raises(AeroactError, match="broke off"):
        aeroact.load(NAME, zoo=index_of(server))


def test_more_than_the_index_says_is_not_read(server: Server, cache: Path) -> None:
    def endless(request: SimpleHTTPRequestHandler) -> None:
        send(request, 200)
        while True:
            request.wfile.write(bytes(1 << 16))

    server.answers[f"/{NAME}/emulator.onnx"] = endless
    with pytest.raises(AeroactError, match=r"emulator\.onnx: more than the [\d,]+ bytes"):
        aeroact.load(NAME, zoo=index_of(server))
    assert kept(cache) == []
    server.answers["/index.json"] = endless
    with pytest.raises(AeroactError, match=r"index\.json: more than the 4,194,304 bytes"):
        zoo.open_zoo(index_of(server)).names()


def test_a_silent_server_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "TIMEOUT", 0.2)
    over = threading.Event()

    def silent(request: SimpleHTTPRequestHandler) -> None:
        send(request, 200)
        over.wait(10)

    server.answers["/index.json"] = silent
    try:
        with pytest.raises(AeroactError, match=r"no answer within 0\.2 s"):
            aeroact.load(NAME, zoo=index_of(server))
    finally:
        over.set()


def test_a_server_that_never_ends_is_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "DEADLINE", 0.2)

    def dripping(request: SimpleHTTPRequestHandler) -> None:
        send(request, 200)
        for _ in range(500):
            request.wfile.write(b" ")
            time.sleep(0.01)

    server.answers["/index.json"] = dripping
    with pytest.raises(AeroactError, match=r"too slow, given up after 0\.2 s"):
        aeroact.load(NAME, zoo=index_of(server))


# Faults of this machine


def test_a_full_disk_keeps_nothing(
    server: Server,
    served: Path,
    small_disk: Path,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk))
    (served / NAME / "fn.png").write_bytes(os.urandom(400_000))
    sign(served / NAME)
    zoo.write_index(served)
    with pytest.raises(AeroactError, match=r"cannot keep .*No space left.*XDG_CACHE_HOME"):
        aeroact.load(NAME, zoo=index_of(server))
    assert kept(small_disk / "aeroact" / "zoo") == []
    disks.resize(small_disk, "4m")
    assert aeroact.load(NAME, zoo=index_of(server)).card["name"] == NAME


def test_a_cache_that_cannot_be_made_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(AeroactError, match="file/aeroact/zoo: cannot make this folder"):
        aeroact.load(NAME, zoo=index_of(server))


def test_a_killed_download_leaves_nothing_that_counts(server: Server, cache: Path) -> None:
    reached, over = threading.Event(), threading.Event()

    def stalls(request: SimpleHTTPRequestHandler) -> None:
        send(request, 200)
        request.wfile.write(b"some")
        reached.set()
        over.wait(30)

    server.answers[f"/{NAME}/emulator.onnx"] = stalls
    code = f"import aeroact; aeroact.load({NAME!r}, zoo={index_of(server)!r})"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        assert reached.wait(60)
        (part,) = kept(cache)
        assert part.startswith(f".{NAME}.")
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    finally:
        process.kill()
        over.set()
    server.answers.clear()
    assert aeroact.load(NAME, zoo=index_of(server)).card["name"] == NAME
    assert kept(cache) == [NAME]
