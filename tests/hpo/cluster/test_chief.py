"""Chief and workers on this machine alone: deaths, strangers, and what each believes of the other.

One search goes through everything that may happen to one; the tests look at what came of it.
The others have a chief within this process, and trials that nobody trains.
"""

import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pytest

from aeroact.errors import AeroactError
from aeroact.hpo.attempts import Task
from aeroact.hpo.cluster import chief as chief_module
from aeroact.hpo.cluster import line as line_module
from aeroact.hpo.cluster import wire
from aeroact.hpo.cluster import worker as worker_module
from aeroact.hpo.cluster.chief import Chief, serving
from aeroact.hpo.cluster.desk import LEASE
from aeroact.hpo.cluster.line import Line, NoChiefError
from aeroact.hpo.cluster.post import NAME, Post, new_secret
from aeroact.hpo.cluster.protos import service, service_grpc
from aeroact.hpo.cluster.worker import Worker
from aeroact.hpo.config import Project
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.space import Candidate
from aeroact.hpo.step1 import Tried
from aeroact.hpo.step2 import Retrained
from aeroact.hpo.training import Recipe
from aeroact.hpo.workers import Listener
from tests.commands import COMMANDS, run_command
from tests.tables import table

VARIABLES = (
    "KERASTUNER_TUNER_ID",
    "KERASTUNER_ORACLE_IP",
    "KERASTUNER_ORACLE_PORT",
    "CUDA_VISIBLE_DEVICES",
    "SLURM_JOB_ID",
    "PBS_JOBID",
)

# An epoch takes a while: long enough for something to happen in it.
SLOW = """
import time
import aeroact.hpo.step1
import aeroact.hpo.step2

def slow(train):
    def slowed(widths, data, recipe, seed, report, *more):
        def reported(*errors):
            time.sleep(0.1)
            return report(*errors)
        return train(widths, data, recipe, seed, reported, *more)
    return slowed

for step in (aeroact.hpo.step1, aeroact.hpo.step2):
    step.train = slow(step.train)
"""

CREATE = service.CreateTrialRequest(tuner_id="stranger")
UPDATE = service.UpdateTrialRequest(trial_id="1/0/stranger/0", metrics={"mse/0": 0, "val_mse/0": 0})
END = service.EndTrialRequest(
    trial=wire.result_message("1/0/stranger/0", Tried([], [], 1.0, inference_us=1.0))
)
CALLS = {"CreateTrial": CREATE, "UpdateTrial": UPDATE, "EndTrial": END}
STRANGERS = ("plain text", "no certificate", "another certificate")


def channel_of(stranger: str, post: Post) -> grpc.Channel:
    """A channel of somebody who may know everything about a chief but its key."""
    address = f"{post.address}:{post.port}"
    if stranger == "plain text":
        return grpc.insecure_channel(address)
    certificate = post.certificate.encode()
    own = [text.encode() for text in reversed(new_secret())]
    credentials = grpc.ssl_channel_credentials(
        certificate, *(own if stranger == "another certificate" else [])
    )
    options = [("grpc.ssl_target_name_override", NAME)]
    return grpc.secure_channel(address, credentials, options)


def intrude(post: Post) -> dict[tuple[str, str], str]:
    """Try each call as each stranger; returns what came of it."""
    answers = {}
    for stranger in STRANGERS:
        with channel_of(stranger, post) as channel:
            for method, request in CALLS.items():
                try:
                    getattr(service_grpc.OracleStub(channel), method)(request, timeout=20)
                    answers[stranger, method] = "answered"
                except grpc.RpcError as error:
                    answers[stranger, method] = error.code().name
    return answers


def pester(post: Post) -> list[socket.socket]:
    """Scan the port and send it rubbish; returns a connection that stays and says nothing."""
    rubbish = (
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        os.urandom(9999),
    )
    # What looks like TLS, and ends in the middle.
    for said in (*rubbish, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 100_000):
        scan = socket.create_connection((post.address, post.port), 5)
        with scan, contextlib.suppress(ConnectionError):
            scan.sendall(said)
    return [socket.create_connection((post.address, post.port), 5) for _ in range(50)]


def until(reached: Callable[[], Any], seconds: float = 60, said: Callable[[], str] = str) -> Any:
    end = time.monotonic() + seconds
    while not (found := reached()):
        assert time.monotonic() < end, said()
        time.sleep(0.01)
    return found


# One search, and everything that may happen to it


@dataclass
class Story:
    """A search under way, and what was seen of it.

    Attributes
    ----------
    path : Path
        Of the run.
    env : dict
        Of its processes.
    port : int
        Which the user has chosen.
    processes : dict
        By name.
    """

    path: Path
    env: dict[str, str]
    port: int
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    intruders: dict[tuple[str, str], str] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    second: subprocess.CompletedProcess[str] | None = None
    passed_on: float = 0.0
    environments: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    alive_without_chief: bool = False
    said: dict[str, str] = field(default_factory=dict)

    def start(self, name: str, tuner: str, *options: str, **variables: str) -> None:
        self.processes[name] = subprocess.Popen(
            [COMMANDS / "aeroact-hpo", "worker", self.path, *options],
            env=self.env | {"KERASTUNER_TUNER_ID": tuner} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def start_chief(self, name: str) -> None:
        address = {"KERASTUNER_ORACLE_IP": "127.0.0.2", "KERASTUNER_ORACLE_PORT": str(self.port)}
        self.start(name, "chief", **address)
        self.posts.append(self.until(lambda: self.post_of(name)))

    def post_of(self, name: str) -> Post | None:
        post = Post.read(RunFolder(self.path))
        return post if post is not None and post.pid == self.processes[name].pid else None

    def records(self) -> list[dict[str, Any]]:
        try:
            whole = (self.path / "trials.jsonl").read_text().rpartition("\n")[0]
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in whole.splitlines()]

    def ends(self) -> Counter[tuple[int, str]]:
        ended = [r for r in self.records() if r["status"] != "RUNNING"]
        return Counter((record["step"], record["name"]) for record in ended)

    def logged(self, worker: str) -> str:
        path = self.path / "logs" / f"{worker}.log"
        return path.read_text() if path.exists() else ""

    def begun(self, worker: str) -> list[tuple[int, str]]:
        """Return step and name of each trial that a worker has set about."""
        pattern = r"trial (\d+) of Step (\d)"
        return [(int(step), name) for name, step in re.findall(pattern, self.logged(worker))]

    def until(self, reached: Callable[[], Any]) -> Any:
        def reached_or_dead() -> Any:
            assert self.processes["steady"].poll() is None, self.logs()
            return reached()

        return until(reached_or_dead, 90, self.logs)

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in self.path.glob("logs/*.log"))

    def trainings(self, worker: str) -> list[int]:
        pid = self.processes[worker].pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        commands = {int(c): Path(f"/proc/{c}/cmdline").read_text() for c in children}
        return [child for child, command in commands.items() if "spawn_main" in command]

    def end(self, name: str) -> None:
        try:
            self.said[name], _ = self.processes[name].communicate(timeout=90)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{name} does not end:\n{self.logs()}") from error


@pytest.fixture(scope="module")
def story(dataset_file, small_search, tmp_path_factory) -> Iterator[Story]:
    """Play it: strangers call, a worker is told to go, and the chief is killed."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "sitecustomize.py").write_text(SLOW)
    asked = [option for option in small_search if not option.startswith("--workers")]
    done = run_command("aeroact-hpo", "slurm", folder / "run", "--data", dataset_file, *asked)
    assert done.returncode == 0, done.stderr
    env = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = probe.getsockname()[1]
    env["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    story = Story(folder / "run", env, port)
    try:
        _play(story)
        yield story
    finally:
        for process in story.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def variables_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def _play(story: Story) -> None:
    story.start("steady", "steady", "--slots=2", CUDA_VISIBLE_DEVICES="7")
    story.start("leaver", "my own/leaver", "--slots=1")
    story.start_chief("first")
    silent = pester(story.posts[0])
    story.intruders = intrude(story.posts[0])
    story.second = run_command(
        "aeroact-hpo", "worker", story.path, env=story.env | {"KERASTUNER_TUNER_ID": "chief"}
    )

    story.until(lambda: sum(story.ends().values()) >= 1)
    story.environments = {
        worker: [variables_of(pid) for pid in story.trainings(worker)]
        for worker in ("steady", "leaver")
    }
    _tell_to_go(story)
    story.end("leaver")

    story.until(lambda: sum(story.ends().values()) >= 3)
    story.processes["first"].kill()
    story.end("first")
    story.alive_without_chief = story.processes["steady"].poll() is None
    story.start_chief("another")
    story.end("another")
    story.end("steady")
    for connection in silent:
        connection.close()


def _tell_to_go(story: Story) -> None:
    """Send SIGTERM to a worker in the middle of a trial, and wait until another has that."""

    def trial() -> tuple[int, str] | None:
        begun = story.begun("my_own_leaver")
        return begun[-1] if begun and begun[-1] not in story.ends() else None

    given_back = story.until(trial)
    told = time.monotonic()
    story.processes["leaver"].terminate()
    story.until(lambda: given_back in story.begun("steady"))
    story.passed_on = time.monotonic() - told


def test_the_tables_are_those_of_a_search_on_one_machine(story, finished_run):
    assert story.processes["another"].returncode == 0, story.said["another"]
    for name in ("step1.csv", "step2.csv"):
        assert table(story.path / name) == table(finished_run / name)


def test_no_trial_is_counted_twice(story, finished_run):
    rows = {1: table(finished_run / "step1.csv"), 2: table(finished_run / "step2.csv")}
    trials = {(step, row["trial"]) for step, table in rows.items() for row in table}
    assert dict(story.ends()) == dict.fromkeys(trials, 1)


def test_a_worker_outlives_the_chief_and_leaves_when_all_is_done(story):
    assert story.processes["first"].returncode == -signal.SIGKILL
    assert story.alive_without_chief
    assert story.processes["steady"].returncode == 0
    assert story.logged("steady").endswith("the chief has no more for this worker\n")


def test_what_a_worker_had_when_its_chief_was_killed_it_did_not_begin_again(story):
    assert set(Counter(story.begun("steady")).values()) == {1}


def test_a_worker_that_is_told_to_go_gives_its_trial_back_at_once(story):
    assert story.processes["leaver"].returncode == 0
    assert story.logged("my_own_leaver").endswith("told to go\n")
    assert story.passed_on < LEASE


def test_a_second_chief_of_a_run_says_so_and_leaves(story):
    assert story.second is not None
    assert story.second.returncode == 1
    assert "works on this run already; this one leaves" in story.second.stderr
    assert len(story.second.stderr.splitlines()) == 1


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_is_refused(story, stranger, method):
    assert story.intruders[stranger, method] == "UNAVAILABLE"


def test_no_stranger_has_become_a_worker(story):
    state = json.loads((story.path / "cluster" / "state.json").read_text())
    assert state["state"] == "finished"
    assert {worker["name"] for worker in state["workers"]} <= {"steady", "my_own_leaver"}


def test_the_environment_decides_where_the_chief_listens(story):
    for post in story.posts:
        assert (post.address, post.port) == ("127.0.0.2", story.port)


def test_each_chief_has_a_secret_of_its_own_and_leaves_none(story):
    first, another = story.posts
    assert first.key != another.key
    assert not (story.path / "cluster" / "chief.json").exists()


def test_the_environment_decides_what_a_worker_is_called_and_which_gpu_it_uses(story):
    """And so it is for the processes that train."""
    assert [len(story.environments[worker]) for worker in ("steady", "leaver")] == [2, 1]
    for worker, name in (("steady", "steady"), ("leaver", "my_own_leaver")):
        for variables in story.environments[worker]:
            assert variables["KERASTUNER_TUNER_ID"] == name
            assert variables["KERASTUNER_ORACLE_IP"] == "127.0.0.2"
            assert variables["KERASTUNER_ORACLE_PORT"] == str(story.port)
    for variables in story.environments["steady"]:
        assert variables["CUDA_VISIBLE_DEVICES"] == "7"


def test_a_search_leaves_nothing_that_only_it_needs(story):
    assert not (story.path / "cache").exists()
    assert not list(story.path.rglob(".*.part*"))


# A chief within this process, and trials that nobody trains

RECIPE = Recipe(epochs=4, patience=None, batch_size=64, learning_rate=1e-3)
CURVE = [(0.5, 0.25), (0.1, 1 / 3), (1e-300, 0.2)]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> RunFolder:
    """A run in an environment that says nothing of a chief, before and after the test."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    folder = RunFolder(tmp_path / "run")
    folder.begin(Project())
    return folder


class Search:
    """A search whose chief is a thread of this process.

    Parameters
    ----------
    folder : RunFolder
        Of the run.
    *trials : int
        How many there are in each step.
    pause : float
        Seconds between two steps.
    """

    def __init__(self, folder: RunFolder, *trials: int, pause: float = 0.0) -> None:
        self.folder, self.pause = folder, pause
        names, of_step = map(str, count()), partial(Task, candidate=Candidate((8,)), seed=[1])
        of_step = partial(of_step, recipe=RECIPE, p_subset=0.2, folder=folder)
        self.steps = [
            [of_step(step, next(names)) for _ in range(n)] for step, n in enumerate(trials, start=1)
        ]
        self.results: dict[str, Any] = {}
        self.chief: Chief | None = None
        self.error: BaseException | None = None
        self.prepare: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            with serving(self.folder) as chief:
                self.chief = chief
                self.prepare()
                for tasks in self.steps:
                    for outcome in chief.run([], iter(tasks), Listener(), None):
                        self.results[outcome.task.name] = outcome.result
                    time.sleep(self.pause)
        except BaseException as error:  # noqa: BLE001 - for the test to look at
            self.error = error

    def __enter__(self) -> "Search":
        self._thread.start()
        until(lambda: self.chief or self.error)
        return self

    def __exit__(self, *_: object) -> None:
        if self.chief is not None and self._thread.is_alive():
            with contextlib.suppress(AeroactError):
                self.chief.run_out(0)
        self.wait()

    def wait(self, seconds: float = 20) -> None:
        self._thread.join(seconds)
        assert not self._thread.is_alive()


class Colleague:
    """A worker that trains nothing."""

    def __init__(self, folder: RunFolder, name: str = "colleague") -> None:
        self.name, self.line = name, Line(folder)

    def ask(self, patience: float = 10) -> Any:
        request = service.CreateTrialRequest(tuner_id=self.name)
        return self.line.call("CreateTrial", request, patience).trial

    def lease(self) -> str:
        trial = until(lambda: (t := self.ask()).status == wire.Status.RUNNING and t)
        return trial.trial_id

    def complete(self, lease: str) -> None:
        self.line.call("UpdateTrial", wire.epochs_message(lease, 0, CURVE), 10)
        of_step2, val_mse = lease.startswith("2/"), [0.0] * len(CURVE)
        result = Retrained([], val_mse, 1.0) if of_step2 else Tried([], val_mse, 1.0, 2.0)
        message = wire.result_message(lease, result)
        self.line.call("EndTrial", service.EndTrialRequest(trial=message), 10)

    def work(self) -> None:
        """Do all trials, until there are no more."""
        while (trial := self.ask()).status != wire.Status.STOPPED:
            if trial.status == wire.Status.RUNNING:
                self.complete(trial.trial_id)


def test_results_come_over_the_network_to_the_last_bit(folder):
    with Search(folder, 3) as search:
        Colleague(folder).work()
        search.wait()
    assert search.error is None
    assert list(search.results) == ["0", "1", "2"]
    for result in search.results.values():
        assert list(zip(result.mse, result.val_mse, strict=True)) == CURVE
        assert (result.seconds, result.inference_us) == (1.0, 2.0)


def test_a_chief_and_its_workers_are_done_within_a_moment(folder):
    with Search(folder, 1) as search:
        begun = time.monotonic()
        Colleague(folder).work()
        search.wait()
        assert time.monotonic() - begun < 3


def test_the_environment_decides_where_a_worker_looks_for_the_chief(folder, monkeypatch):
    with Search(folder, 1) as search:
        true = Post.read(folder)
        assert true is not None
        replace(true, address="127.0.0.99", port=1).write(folder)
        for name in ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"):
            monkeypatch.delenv(name)
        with pytest.raises(NoChiefError):
            Colleague(folder).ask(patience=0)
        monkeypatch.setenv("KERASTUNER_ORACLE_IP", "localhost")
        monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(true.port))
        Colleague(folder).work()
        search.wait()
    assert len(search.results) == 1


def test_a_slurm_that_does_not_answer_does_not_end_a_worker(folder, monkeypatch):
    """It is asked, where the chief is silent, whether there still is a job."""
    monkeypatch.setattr(line_module, "_WORRY", 0.0)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    asked: list[str] = []

    def hang(command: list[str], **kwargs: Any) -> None:
        asked.append(command[0])
        raise subprocess.TimeoutExpired(command, kwargs["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    monkeypatch.setattr(shutil, "which", lambda command: f"/usr/bin/{command}")
    with pytest.raises(NoChiefError):
        Colleague(folder).ask(patience=1.5)
    assert "squeue" in asked


def test_without_a_chief_a_worker_gives_up_when_its_patience_is_at_an_end(folder):
    begun = time.monotonic()
    with pytest.raises(NoChiefError, match="no chief has answered"):
        Colleague(folder).ask(patience=2)
    assert 1 <= time.monotonic() - begun < 4


class Impostor(service_grpc.OracleServicer):
    """Answers whoever calls, and notes it."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def CreateTrial(self, request: Any, context: Any) -> Any:
        self.heard.append(request.tuner_id)
        return service.CreateTrialResponse(trial=wire.trial_message("", wire.Status.STOPPED, {}))


@pytest.mark.parametrize("speaks", ["plain text", "TLS"])
def test_a_worker_does_not_speak_to_a_false_chief(folder, speaks, monkeypatch):
    """It has the address of the true one, but not its key."""
    impostor = Impostor()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    service_grpc.add_OracleServicer_to_server(impostor, server)
    if speaks == "TLS":
        certificate, key = (text.encode() for text in new_secret())
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        Post("127.0.0.1", port, "n1", 1, "", 0.0, *new_secret()).write(folder)
        with pytest.raises(NoChiefError):
            Colleague(folder).ask(patience=1.5)
    finally:
        server.stop(None).wait()
    assert impostor.heard == []

    for name in ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"):
        monkeypatch.delenv(name)
    with answering(impostor, folder):
        Colleague(folder).ask()
    assert impostor.heard == ["colleague"]


def test_a_chief_leaves_when_another_answers_where_locks_do_not_reach(folder):
    taken = pytest.raises(AeroactError, match="works on this run already; this one leaves")
    with Search(folder, 1):
        with taken, serving(folder):
            pass
        assert Post.read(folder) is not None


def test_a_port_that_is_taken_is_told_in_one_line(folder, monkeypatch):
    told = pytest.raises(AeroactError, match=r"cannot listen on 127.0.0.1:\d+ \(.*a free port")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(other.getsockname()[1]))
        with told, serving(folder):
            pass
    assert Post.read(folder) is None


@pytest.mark.parametrize("lease", ["", "nonsense", "1/0/a/b/c"])
def test_a_call_that_makes_no_sense_does_not_end_the_search(folder, lease):
    """Such as one by a worker of another version, which has the key."""
    with Search(folder, 2) as search:
        colleague = Colleague(folder)
        first = colleague.lease()
        with pytest.raises((grpc.RpcError, NoChiefError)):
            colleague.line.call("UpdateTrial", wire.epochs_message(lease, 0, CURVE), 0)
        colleague.complete(first)
        colleague.work()
        search.wait()
    assert search.error is None
    assert len(search.results) == 2


def test_a_worker_that_calls_while_data_are_prepared_waits(folder):
    ready = threading.Event()
    search = Search(folder, 1)
    search.prepare = lambda: ready.wait(10)
    with search:
        colleague = Colleague(folder)
        assert colleague.ask().status == wire.Status.IDLE
        ready.set()
        colleague.work()
        search.wait()
    assert search.error is None


def test_time_that_the_chief_took_to_prepare_is_not_counted_against_its_workers(
    folder, monkeypatch
):
    """They waited all the while, and have a moment to call again."""
    monkeypatch.setattr(chief_module, "_ALONE", 2.0)
    search = Search(folder, 1)
    search.prepare = lambda: time.sleep(2.2)
    with search:
        until(lambda: search.error or (search.chief and search.chief.tried))
        time.sleep(1.2)
        assert search.error is None
        Colleague(folder).work()
        search.wait()


def test_who_waited_between_two_steps_is_still_there(folder, monkeypatch):
    """And is asked for a second opinion, though it has not called yet."""
    monkeypatch.setattr(chief_module, "LEASE", 1.5)
    with Search(folder, 2, 1, pause=2.0) as search:
        hasty, slow = Colleague(folder, "hasty"), Colleague(folder, "slow")
        for colleague, lease in [(c, c.lease()) for c in (hasty, slow)]:
            colleague.complete(lease)
        message = wire.reason_message(hasty.lease(), wire.Status.FAILED, "CUDA error")
        hasty.line.call("EndTrial", service.EndTrialRequest(trial=message), 10)
        slow.work()
        search.wait()
    assert search.error is None
    assert search.results["2"] is not None


def test_a_search_without_workers_ends_and_says_why(folder, monkeypatch):
    monkeypatch.setattr(chief_module, "_ALONE", 2.0)
    with Search(folder, 1) as search:
        search.wait()
    assert isinstance(search.error, AeroactError)
    assert "no worker is there (none is heard of); see" in str(search.error)


def test_a_search_all_of_whose_workers_have_gone_ends_sooner_and_says_why(folder, monkeypatch):
    monkeypatch.setattr(chief_module, "_DESERTED", 1.0)
    with Search(folder, 1) as search:
        colleague = Colleague(folder)
        why = wire.reason_message(
            colleague.lease(), wire.Status.INVALID, "the disk is full", leaving=True
        )
        colleague.line.call("EndTrial", service.EndTrialRequest(trial=why), 5)
        search.wait()
    assert "no worker is there (colleague: the disk is full); see" in str(search.error)


HOPELESS = """
import sys
from pathlib import Path
from aeroact.errors import AeroactError
from aeroact.hpo.attempts import Task
from aeroact.hpo.cluster.chief import serving
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.space import Candidate
from aeroact.hpo.training import Recipe
from aeroact.hpo.workers import Listener

def search(chief):
    task = Task(1, "0", Candidate((8,)), [1], Recipe(4, None, 64, 1e-3), 0.2, folder)
    trainings = chief.run([], iter([task]), Listener(), None)
    for outcome in trainings:
        raise AeroactError("too many trials failed")

folder = RunFolder(Path(sys.argv[1]))
try:
    with serving(folder) as chief:
        search(chief)
except AeroactError as error:
    sys.exit(str(error))
"""


def test_a_chief_that_ends_by_an_error_ends_at_once(folder):
    """Its last worker does not hear that its result has arrived; nobody must wait for that."""
    chief = subprocess.Popen([sys.executable, "-c", HOPELESS, folder.path], stderr=subprocess.PIPE)
    try:
        until(lambda: Post.read(folder))
        colleague = Colleague(folder)
        lease, begun = colleague.lease(), time.monotonic()

        def tell() -> None:
            with contextlib.suppress(NoChiefError):
                colleague.complete(lease)

        threading.Thread(target=tell, daemon=True).start()
        _, said = chief.communicate(timeout=60)
        assert said.decode() == "too many trials failed\n"
        assert time.monotonic() - begun < 9
    finally:
        chief.kill()
        chief.wait()


def test_when_time_runs_out_nothing_is_begun_and_what_runs_may_end(folder):
    with Search(folder, 5) as search:
        colleague = Colleague(folder)
        lease = colleague.lease()
        assert search.chief is not None
        search.chief.run_out(30)
        assert colleague.ask().status == wire.Status.IDLE
        colleague.complete(lease)
        search.wait()
    assert isinstance(search.error, chief_module.OutOfTimeError)
    assert list(search.results) == ["0"]


def test_when_time_runs_out_what_does_not_end_is_left_to_the_next_job(folder):
    with Search(folder, 5) as search:
        Colleague(folder).lease()
        assert search.chief is not None
        search.chief.run_out(1)
        search.wait(5)
    assert isinstance(search.error, chief_module.OutOfTimeError)
    assert search.results == {}


# A worker within this process, whose chief is ours

TRADE = """
import errno
import time
from aeroact.hpo.step1 import Tried

def nothing():
    pass

def train(task, report):
    val_mse = []
    for epoch in range(60):
        time.sleep(0.05)
        val_mse.append(float(epoch))
        if report((epoch, epoch)):
            break
    return Tried(val_mse, val_mse)

def train_one_longer(task, report):
    for epoch in range(60 if task.name == "1" else 5):
        time.sleep(0.05)
        report((epoch, epoch))
    return Tried([float(k) for k in range(epoch + 1)], [float(k) for k in range(epoch + 1)])

def find_the_disk_full(task, report):
    if task.name == "1":
        train(task, report)
    time.sleep(0.5)
    raise OSError(errno.ENOSPC, "No space left on device")
"""


class Script(service_grpc.OracleServicer):
    """A chief that hands out trials of sixty epochs, and answers as a test wants.

    Attributes
    ----------
    calls : list of tuple of str
        Method, and lease if there is one.
    """

    def __init__(self, folder: RunFolder, trials: int) -> None:
        tasks = [Task(1, str(k), Candidate((8,)), [1], RECIPE, 0.2, folder) for k in range(trials)]
        self.todo = [wire.assignment(f"1/{task.name}/n/{task.name}", task) for task in tasks]
        self.calls: list[tuple[str, str]] = []

    def CreateTrial(self, request: Any, context: Any) -> Any:
        self.calls.append(("CreateTrial", ""))
        if self.todo:
            return service.CreateTrialResponse(trial=self.todo.pop(0))
        return service.CreateTrialResponse(trial=wire.trial_message("", self.asked(), {}))

    def UpdateTrial(self, request: Any, context: Any) -> Any:
        self.calls.append(("UpdateTrial", request.trial_id))
        trial = wire.trial_message(request.trial_id, self.updated(request), {})
        return service.UpdateTrialResponse(trial=trial)

    def EndTrial(self, request: Any, context: Any) -> Any:
        self.calls.append(("EndTrial", request.trial.trial_id))
        self.ended(request.trial)
        return service.EndTrialResponse()

    def asked(self) -> int:
        """Answer a question for a trial where there is none."""
        return wire.Status.STOPPED

    def updated(self, request: Any) -> int:
        """Answer a report."""
        return wire.Status.RUNNING

    def ended(self, trial: Any) -> None:
        """Hear of the end of a trial."""


@contextlib.contextmanager
def answering(servicer: Any, folder: RunFolder) -> Iterator[None]:
    """Let somebody answer at the address of the chief, with its secret."""
    post = Post("127.0.0.1", 0, "n1", 1, "", 0.0, *new_secret())
    server = grpc.server(futures.ThreadPoolExecutor(8))
    service_grpc.add_OracleServicer_to_server(servicer, server)
    pair = (post.key.encode(), post.certificate.encode())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        replace(post, port=port).write(folder)
        yield
    finally:
        server.stop(None).wait()


@pytest.fixture
def employ(folder, monkeypatch, tmp_path):
    """Let a worker with a trade of our own work for a script."""
    (tmp_path / "trade.py").write_text(TRADE)
    monkeypatch.syspath_prepend(str(tmp_path))
    trade = importlib.import_module("trade")
    monkeypatch.setattr(worker_module, "load_single_threaded", trade.nothing)
    monkeypatch.setattr(worker_module, "_BEAT", 0.05)

    def employ(script: Script, work: str, slots: int = 1) -> None:
        with answering(script, folder):
            Worker(folder, "n", slots, getattr(trade, work)).run()

    yield employ
    del sys.modules["trade"]


def test_a_worker_that_let_go_of_a_trial_says_nothing_of_it_any_more(folder, employ):
    """Its training was ended early, and what came of it is not the trial's result.

    Should the trial be free again by then, a chief would take it for that.
    """

    class Evicted(Script):
        evicted = False

        def updated(self, request: Any) -> int:
            if request.step < 5 or self.evicted:
                return wire.Status.RUNNING
            self.evicted = True
            return wire.Status.INVALID

    script = Evicted(folder, 1)
    employ(script, "train")
    assert script.evicted
    assert ("EndTrial", "1/0/n/0") not in script.calls


@pytest.mark.parametrize("at", ["a report", "the end"])
def test_a_chief_that_knows_nothing_of_a_trial_is_told_all_its_epochs_again(folder, employ, at):
    class Forgetful(Script):
        """Knows nothing after the tenth epoch, or when the trial has ended, as a new one does."""

        forgot = False

        def __init__(self) -> None:
            super().__init__(folder, 1)
            self.curve: list[tuple[float, float]] = []

        def UpdateTrial(self, request: Any, context: Any) -> Any:
            if at == "a report" and len(self.curve) > 10:
                self._forget()
            if request.step > len(self.curve):
                context.abort(grpc.StatusCode.OUT_OF_RANGE, str(len(self.curve)))
            self.curve[request.step :] = wire.curve_in(request)
            return super().UpdateTrial(request, context)

        def EndTrial(self, request: Any, context: Any) -> Any:
            if at == "the end":
                self._forget()
            epochs, _ = wire.result_in(request.trial)
            if epochs > len(self.curve):
                context.abort(grpc.StatusCode.OUT_OF_RANGE, str(len(self.curve)))
            return super().EndTrial(request, context)

        def _forget(self) -> None:
            if not self.forgot:
                self.forgot = True
                self.curve.clear()

    script = Forgetful()
    employ(script, "train")
    assert script.forgot
    assert script.calls.count(("EndTrial", "1/0/n/0")) == 1
    assert script.curve == [(epoch, epoch) for epoch in range(60)]


def test_what_a_worker_has_given_back_it_does_not_report_on(folder, employ):
    class Slow(Script):
        """Takes a while to hear that a worker goes, as a busy chief does."""

        def ended(self, trial: Any) -> None:
            assert wire.reason_in(trial) == ("[Errno 28] No space left on device", True)
            time.sleep(0.3)

    script = Slow(folder, 2)
    with pytest.raises(OSError, match="No space left"):
        employ(script, "find_the_disk_full", slots=2)
    for lease in ("1/0/n/0", "1/1/n/1"):
        assert script.calls.count(("EndTrial", lease)) == 1
        last = script.calls.index(("EndTrial", lease))
        assert ("UpdateTrial", lease) not in script.calls[last:]


def test_a_worker_without_enough_to_do_asks_once_a_second(folder, employ):
    """And not with each epoch of what it does."""

    class Waiting(Script):
        def asked(self) -> int:
            done = ("EndTrial", "1/0/n/0") in self.calls
            return wire.Status.STOPPED if done else wire.Status.IDLE

    script = Waiting(folder, 1)
    employ(script, "train", slots=2)
    assert script.calls.count(("CreateTrial", "")) < 12


@pytest.mark.parametrize("slots", [1, 2])
def test_while_the_chief_does_not_answer_trainings_go_on(folder, employ, slots):
    class Away(Script):
        """Is not there from the fifth epoch on, and is there again after four seconds."""

        gone, epochs, took = 0.0, 0, 0.0

        def _be_away(self, context: Any) -> None:
            if time.monotonic() - self.gone < 4:
                context.abort(grpc.StatusCode.UNAVAILABLE, "away")

        def CreateTrial(self, request: Any, context: Any) -> Any:
            self._be_away(context)
            return super().CreateTrial(request, context)

        def UpdateTrial(self, request: Any, context: Any) -> Any:
            self._be_away(context)
            return super().UpdateTrial(request, context)

        def EndTrial(self, request: Any, context: Any) -> Any:
            self._be_away(context)
            return super().EndTrial(request, context)

        def asked(self) -> int:
            return wire.Status.STOPPED if self.took else wire.Status.IDLE

        def updated(self, request: Any) -> int:
            assert request.step == self.epochs
            self.epochs += len(request.metrics) // 2
            if self.epochs >= 5 and not self.gone:
                self.gone = time.monotonic()
            return wire.Status.RUNNING

        def ended(self, trial: Any) -> None:
            self.took = time.monotonic() - self.gone

    script = Away(folder, 1)
    employ(script, "train", slots)
    assert script.epochs == 60
    # The other epochs take three seconds: at the same time, not after that.
    assert 4 <= script.took < 6.5


def test_the_end_of_one_trial_does_not_hold_up_another_while_the_chief_is_away(folder, employ):
    """Nor does it use up the time that the other may take."""
    folder.change(Project(trial_timeout=5))

    class Away(Script):
        """Does not answer for eight seconds from the end of the first trial on."""

        gone = 0.0
        results: ClassVar[dict[str, int]] = {}

        def EndTrial(self, request: Any, context: Any) -> Any:
            self.gone = self.gone or time.monotonic()
            if time.monotonic() - self.gone < 8:
                context.abort(grpc.StatusCode.UNAVAILABLE, "away")
            self.results[request.trial.trial_id] = request.trial.status
            return super().EndTrial(request, context)

    script = Away(folder, 2)
    employ(script, "train_one_longer", slots=2)
    assert script.results == dict.fromkeys(["1/0/n/0", "1/1/n/1"], wire.Status.COMPLETED)
