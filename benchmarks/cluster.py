"""What a chief and its workers cost, how many trials a second it serves, and what that means.

    python benchmarks/cluster.py [--part overhead|rate|simulation ...] [--json FILE]

- `overhead`: the same small search, real data and real trainings, by two processes of one command
  and by a chief and a worker of two slots, all of them real commands on this machine. Both must
  come to the same table.
- `rate`: trials that train nothing, through a real chief, journal and fsync included, by clients
  that do what a worker says, over TLS. Beside it KerasTuner's own chief: its servicer, set up as
  its `start_server` does, around its RandomSearch on the same space, brought to the same number of
  trials with its files switched off and then measured with them. Its clients make three calls a
  trial and no report of epochs; KerasTuner's own make one more.
- `simulation`: the paper's Step 1 on many workers, by discrete events, with the chiefs' service
  times as `rate` measures them, so that it includes that. Nothing waits here; see `lengths_of`
  and `simulate` for what is assumed.
"""

import argparse
import csv
import heapq
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from aeroact.console import print_table
from aeroact.generate import Job, generate
from aeroact.hpo import run, step1
from aeroact.hpo.backend import load_backend
from aeroact.hpo.cluster import wire
from aeroact.hpo.cluster.line import Line
from aeroact.hpo.cluster.protos import service, service_grpc
from aeroact.hpo.config import Project
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.journal import Trial
from aeroact.hpo.space import Space, n_params
from aeroact.hpo.standing import Standing
from aeroact.hpo.watcher import Watcher

SEED = 4
SLOTS = 2
BEAT = 2.0
"""Seconds between two reports of a trial, as in `aeroact.hpo.cluster.worker`."""

THREADS = 16
"""Of the clients: each plays several workers in turn."""

EPOCHS = 20
"""That a trial reports which trains nothing."""

BEATS = 20
"""Reports without epochs by each worker."""

PAPER_HOURS = {"5 %": 5.2, "25 %": 23.4, "50 %": 48.6, "100 %": 94.3}
"""Step 1 of Yu et al. (2024) by subset: 10,000 trials on 16 V100."""

PAPER_TRIALS, PAPER_WORKERS = 10_000, 16

PARTS = ("overhead", "rate", "simulation")

_spawn = multiprocessing.get_context("spawn")


# Overhead: the same search by processes, and by chief and worker


def overhead(trials: int, rows: int, rounds: int) -> dict[str, Any]:
    """Search with both, in turn; of each the fastest round counts."""
    searches = {"processes": search_with_processes, "chief and worker": search_with_chief}
    best: dict[str, dict[str, Any]] = {}
    tables = []
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "activation.nc"
        generate(data, Job(n=rows, seed=SEED))
        settings = {
            "data": data,
            "seed": SEED,
            "trials": trials,
            "max_params": 50_000,
            "p_subset": 1.0,
            "epochs": 15,
            "patience": 15,
        }
        for k in range(rounds):
            for name, search in searches.items():
                folder = RunFolder(Path(directory) / f"{name}-{k}")
                run.begin(folder.path, settings, {1})
                result = timed(folder, search)
                tables.append(what_was_found(folder))
                if name not in best or result["search_seconds"] < best[name]["search_seconds"]:
                    best[name] = result
    if any(table != tables[0] for table in tables):
        raise RuntimeError("the searches came to different tables")
    return {"trials": trials, "rows": rows, "rounds": rounds, **best}


Search = Callable[[RunFolder], list[subprocess.Popen[bytes]]]


def search_with_processes(folder: RunFolder) -> list[subprocess.Popen[bytes]]:
    """Start a search by processes of one command."""
    return [start("step1", "--out", folder.path, "--workers", SLOTS)]


def search_with_chief(folder: RunFolder) -> list[subprocess.Popen[bytes]]:
    """Start a chief and a worker, as a batch job does."""
    chief = start("worker", folder.path, "--step", 1, KERASTUNER_TUNER_ID="chief")
    return [chief, start("worker", folder.path, "--slots", SLOTS)]


def start(*arguments: Any, **variables: str) -> subprocess.Popen[bytes]:
    """Start `aeroact-hpo`, outside any batch job."""
    ours = ("KERASTUNER_", "SLURM", "PBS_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment |= {"CUDA_VISIBLE_DEVICES": ""} | variables
    command = [str(Path(sys.executable).with_name("aeroact-hpo")), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def timed(folder: RunFolder, search: Search) -> dict[str, Any]:
    """Wait for a search's processes; times are seconds.

    The search alone begins with the first training: imports and the layout of the data are over
    then. The journal cannot tell when a slot of a worker was ready, but how long it trained.
    """
    began = time.time()
    processes = search(folder)
    cpu = []
    for process in processes:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{process.args!r} exits with {process.returncode}")
        cpu.append(usage.ru_utime + usage.ru_stime)
    ended = time.time()
    trials = folder.journal.finished(1).values()
    first = min(trial.ended - trial.seconds for trial in trials)
    return {
        "seconds": ended - began,
        "start_up": first - began,
        "search_seconds": max(trial.ended for trial in trials) - first,
        "training_seconds": sum(trial.seconds for trial in trials),
        "cpu_seconds": sum(cpu),
        "cpu_seconds_each": cpu,
    }


def what_was_found(folder: RunFolder) -> list[dict[str, str]]:
    """Return `step1.csv` without what is measured."""
    with folder.step1_table.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if any(row["status"] != "COMPLETED" for row in rows):
        raise RuntimeError(f"{folder.step1_table}: not all trials were completed")
    measured = {"seconds", "inference_us"}
    return [{k: v for k, v in row.items() if k not in measured} for row in rows]


# Rate: trials that train nothing, through our chief and through KerasTuner's


class Ends:
    """When trials ended, and the CPU time of this process then (s)."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, float]] = []

    def note(self) -> None:
        """Note that a trial has ended."""
        self._marks.append((time.monotonic(), time.process_time()))

    def between(self, first: int, last: int) -> dict[str, float]:
        """Return what the trials between two numbers of finished ones took."""
        n = last - first
        wall, cpu = np.subtract(self._marks[last - 1], self._marks[first - 1])
        return {"trials_a_second": n / wall, "cpu_ms": 1e3 * cpu / n}


def our_chief(folder: Path, trials: int, workers: int, window: int, pipe: Connection) -> None:
    """Do Step 1 as `aeroact-hpo worker` does; says when it listens, and what it measured."""
    load_backend()
    from aeroact.hpo.cluster.chief import serving

    # While the last trials end, none begin: they are not counted.
    project = Project(trials=trials + workers, epochs=EPOCHS, max_params=None)
    run_folder = RunFolder(folder)
    run_folder.begin(project)
    ends, standing = Ends(), Standing(1, project.trials)

    def note(trial: Trial) -> None:
        standing.add(trial)
        if trial.status != "RUNNING":
            standing.best()
            ends.note()

    with serving(run_folder) as chief:
        pipe.send(None)
        step1.run(project, run_folder, {}, chief, Watcher(note))
    first = ends.between(workers, workers + window)
    pipe.send({"first": first, "last": ends.between(trials - window, trials)})


def kerastuners_chief(
    folder: Path, trials: int, workers: int, window: int, pipe: Connection
) -> None:
    """Do the same with KerasTuner's servicer; says its address, and what it measured."""
    load_backend()
    from concurrent import futures

    import grpc
    import keras_tuner
    from keras_tuner.engine.trial import TrialStatus
    from keras_tuner.src.distribute.oracle_chief import OracleServicer, exit_chief

    class Oracle(keras_tuner.oracles.RandomSearchOracle):
        writes = True
        ends = Ends()

        def save(self) -> None:
            if self.writes:
                super().save()

        def _save_trial(self, trial: Any) -> None:
            if self.writes:
                super()._save_trial(trial)

        def end_trial(self, trial: Any) -> None:
            super().end_trial(trial)
            if self.writes:
                self.ends.note()

    def bring_to(done: int) -> None:
        oracle.writes, oracle.max_trials = False, done + 1
        while len(oracle.trials) < done:
            trial = oracle.create_trial("nobody")
            oracle.update_trial(trial.trial_id, {"val_loss": 0.1})
            trial.status = TrialStatus.COMPLETED
            oracle.end_trial(trial)
        oracle.tuner_ids.clear()
        oracle.writes = True

    def serve(done: int) -> dict[str, float]:
        bring_to(done)
        oracle.max_trials, oracle.ends = done + workers + window + workers, Ends()
        servicer = OracleServicer(oracle)
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
        service_grpc.add_OracleServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        pipe.send(f"127.0.0.1:{port}")
        while not (servicer.stop_triggered and exit_chief(oracle)):
            time.sleep(0.1)
        server.stop(grace=1).wait()
        return oracle.ends.between(workers, workers + window)

    oracle = Oracle(
        objective=keras_tuner.Objective("val_loss", "min"),
        max_trials=2 * trials,
        hyperparameters=Project(max_params=None).space.declare(),
        seed=1,
    )
    oracle.verbose = 0
    oracle._set_project_dir(str(folder), "search")
    # It prints twenty numbers, left over from somebody's debugging, for each trial that ends.
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        pipe.send({"first": serve(0), "last": serve(trials - window - workers)})


Ask = Callable[[str], Any]
"""Ask, as a worker, for a trial; None: there is none."""

End = Callable[[Any], None]
"""Report the epochs of a trial and its result."""


def our_calls(folder: Path) -> tuple[Ask, End, Callable[[Any], None]]:
    """Return what a worker of ours says to the chief: asks, ends a trial, says that it lives."""
    run_folder = RunFolder(folder)
    project, line, chance = run_folder.project(), Line(run_folder), random.Random(SEED)

    def ask(worker: str) -> Any:
        request = service.CreateTrialRequest(tuner_id=worker)
        trial = line.call("CreateTrial", request).trial
        if trial.status != wire.Status.RUNNING:
            return None
        wire.task_in(trial, project, run_folder)
        return trial.trial_id

    def end(lease: str) -> None:
        curve = [(chance.uniform(1e-5, 1e-2), chance.uniform(1e-5, 1e-2)) for _ in range(EPOCHS)]
        line.call("UpdateTrial", wire.epochs_message(lease, 0, curve))
        mse, val_mse = map(list, zip(*curve, strict=True))
        result = step1.Tried(mse, val_mse, seconds=12.345, inference_us=1.2345)
        message = wire.result_message(lease, result)
        line.call("EndTrial", service.EndTrialRequest(trial=message))

    def beat(lease: str) -> None:
        line.call("UpdateTrial", wire.epochs_message(lease, 0, []))

    return ask, end, beat


def kerastuners_calls(address: str) -> tuple[Ask, End, None]:
    """Return what a worker of KerasTuner says: asks, ends a trial."""
    import grpc

    stub = service_grpc.OracleStub(grpc.insecure_channel(address))

    def ask(worker: str) -> Any:
        trial = stub.CreateTrial(service.CreateTrialRequest(tuner_id=worker)).trial
        return trial if trial.status == wire.Status.RUNNING else None

    def end(trial: Any) -> None:
        metrics = {"val_loss": 0.1}
        stub.UpdateTrial(
            service.UpdateTrialRequest(trial_id=trial.trial_id, metrics=metrics, step=1)
        )
        trial.status = wire.Status.COMPLETED
        stub.EndTrial(service.EndTrialRequest(trial=trial))

    return ask, end, None


def play_workers(calls: Callable[[Any], Any], chief: Any, workers: int, pipe: Connection) -> None:
    """Be all workers until the chief has no more trials; sends how many beats a second it took."""
    threads = min(THREADS, workers)
    barrier = threading.Barrier(threads)
    spans: list[tuple[float, float]] = []

    def play(names: list[str]) -> None:
        ask, end, beat = calls(chief)
        held = {name: ask(name) for name in names}
        barrier.wait()
        began = time.monotonic()
        for _ in range(BEATS if beat else 0):
            for trial in held.values():
                beat(trial)
        spans.append((began, time.monotonic()))
        barrier.wait()
        while held:
            for name in list(held):
                end(held[name])
                held[name] = ask(name)
                if held[name] is None:
                    del held[name]

    crew = [
        threading.Thread(target=play, args=([f"worker-{k}" for k in range(i, workers, threads)],))
        for i in range(threads)
    ]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    begins, ends = zip(*spans, strict=True)
    pipe.send(BEATS * workers / (max(ends) - min(begins)))


@contextmanager
def process(work: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """Have a process of its own do some work; gives the pipe to which that sends."""
    ours, theirs = _spawn.Pipe(duplex=False)
    worker = _spawn.Process(target=work, args=(*arguments, theirs))
    worker.start()
    theirs.close()
    try:
        yield ours
    except BaseException:
        worker.kill()
        raise
    finally:
        worker.join()


def rate(trials: int, workers: int, window: int) -> dict[str, Any]:
    """Measure both chiefs: each a process of its own, as are the clients."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "ours"
        folder.mkdir()
        with process(our_chief, folder, trials, workers, window) as chief:
            chief.recv()
            with process(play_workers, our_calls, folder, workers) as clients:
                beats = clients.recv()
            ours = chief.recv() | {"beats_a_second": beats}
        folder = Path(directory) / "theirs"
        with process(kerastuners_chief, folder, trials, THREADS, min(window, 150)) as chief:
            for _ in range(2):
                with process(play_workers, kerastuners_calls, chief.recv(), THREADS) as clients:
                    clients.recv()
            theirs = chief.recv()
    return {"trials": trials, "workers": workers, "aeroact": ours, "KerasTuner": theirs}


# Simulation: the paper's Step 1 on many workers


@dataclass(frozen=True)
class Service:
    """What a chief needs for a trial, from first to last, and for a beat (s).

    A trial is asked for, reported and ended. What it takes grows evenly from the first trial to
    the last. Of `workers` that each send a beat every two seconds, beats take a share of its time
    that trials do not have.
    """

    first: float
    last: float
    beat: float

    def share_of_beats(self, workers: int) -> float:
        """Return the part of its time that beats take."""
        return workers * self.beat / BEAT

    def service(self, done: int, trials: int, workers: int) -> float:
        """Return how long it is busy with a trial, while beats come in between."""
        needed = self.first + (self.last - self.first) * done / trials
        return needed / (1 - self.share_of_beats(workers))

    def saturating_workers(self, mean_length: float) -> float:
        """Return how many workers keep it busy without a pause, after the last trial."""
        return 1 / (self.last / mean_length + self.beat / BEAT)


def lengths_of(trials: int, mean: float) -> NDArray[np.float64]:
    """Draw how long trials take (s), scaled to a mean.

    Architectures are the paper's, uniform in depth and in each layer's width. An epoch takes
    a GPU as long as a network of two million parameters even if it has fewer (a batch of 1,024
    rows then is bound by the launch of kernels, some 2 ms), and beyond that in proportion to
    parameters: (2e6 + parameters). Early stopping leaves between 10 and 100 epochs, all equally
    likely.
    """
    drawn = islice(Space().draw(SEED), trials)
    params = np.array([n_params(candidate.widths) for candidate in drawn])
    epochs = np.random.default_rng([SEED, 1]).integers(10, 100, trials, endpoint=True)
    lengths = (2e6 + params) * epochs
    return lengths * (mean / lengths.mean())


def simulate(
    lengths: NDArray[np.float64], workers: int, chief: Service, start_up: float
) -> dict[str, float]:
    """Let workers do trials that a chief hands out in order.

    The chief is one server: who has ended a trial waits its turn, then the chief takes in the
    result and hands out the next. Workers start together. Nothing dies.

    Parameters
    ----------
    lengths : ndarray of float, shape (trials,)
        What each trial takes a worker (s).
    workers : int
        Trials at a time.
    chief : Service
        What it needs.
    start_up : float
        Seconds until a worker is ready for its first trial.

    Returns
    -------
    dict of str to float
        ``hours`` in all, the ``utilisation`` of workers and the ``load`` of the chief from 0 to 1,
        ``straggling_hours`` that the mean worker waits for the last trial.
    """
    asking = [start_up] * min(workers, len(lengths))
    free, busy = 0.0, 0.0
    for done, length in enumerate(lengths):
        service = chief.service(done, len(lengths), workers)
        free = max(heapq.heappop(asking), free) + service
        busy += service
        heapq.heappush(asking, free + float(length))
    end = max(asking)
    return {
        "hours": end / 3600,
        "utilisation": float(lengths.sum()) / (workers * end),
        "load": busy / end * (1 - chief.share_of_beats(workers)) + chief.share_of_beats(workers),
        "straggling_hours": (end - sum(asking) / len(asking)) / 3600,
    }


def simulations(
    measured: dict[str, Any], crews: list[int], start_up: float
) -> dict[str, list[dict[str, Any]]]:
    """Do the paper's searches with both chiefs, as `rate` measured them."""
    beats = {"aeroact": 1 / measured["aeroact"]["beats_a_second"], "KerasTuner": 0.0}
    cases: dict[str, list[dict[str, Any]]] = {}
    for name, beat in beats.items():
        first, last = (1 / measured[name][when]["trials_a_second"] for when in ("first", "last"))
        chief, cases[name] = Service(first, last, beat), []
        for subset, hours in PAPER_HOURS.items():
            mean = hours * 3600 * PAPER_WORKERS / PAPER_TRIALS
            lengths = lengths_of(PAPER_TRIALS, mean)
            common = {"subset": subset, "saturating_workers": chief.saturating_workers(mean)}
            for workers in crews:
                case = simulate(lengths, workers, chief, start_up)
                cases[name].append(common | {"workers": workers} | case)
    return cases


# Tables


def print_overhead(result: dict[str, Any]) -> None:
    table = Table(
        title=f"The same {result['trials']} trials on {SLOTS} cores, "
        f"{result['rows']:,} rows, fastest of {result['rounds']}"
    )
    headings = ("", "whole (s)", "start-up (s)", "search alone (s)", "CPU (s)", "trials/h, search")
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left")
    names = ("processes", "chief and worker")
    for name in names:
        side = result[name]
        seconds = [side[key] for key in ("seconds", "start_up", "search_seconds", "cpu_seconds")]
        pace = 3600 * result["trials"] / side["search_seconds"]
        table.add_row(name, *(f"{value:.1f}" for value in seconds), f"{pace:,.0f}")
    ours, theirs = (result[name] for name in reversed(names))
    keys = ("seconds", "start_up", "search_seconds", "cpu_seconds")
    table.add_row("ratio", *(f"{ours[key] / theirs[key]:.3f}" for key in keys))
    print_table(table)
    chief, worker = ours["cpu_seconds_each"]
    print(f"CPU of the chief {chief:.1f} s, of the worker and its processes {worker:.1f} s")


def print_rate(result: dict[str, Any]) -> None:
    table = Table(
        title=f"Trials that train nothing, served by one chief, {result['trials']:,} done"
    )
    for heading in ("", "aeroact", "KerasTuner"):
        table.add_column(heading, justify="right" if heading else "left")
    sides = result["aeroact"], result["KerasTuner"]
    for when in ("last", "first"):
        for key, unit in {"trials_a_second": "trials/s", "cpu_ms": "CPU ms a trial"}.items():
            values = [f"{side[when][key]:.1f}" for side in sides]
            table.add_row(f"{unit}, {when} trials", *values)
    table.add_row("workers", str(result["workers"]), str(THREADS))
    table.add_row("beats/s", f"{sides[0]['beats_a_second']:,.0f}", "none")
    print_table(table)
    ours, theirs = (side["last"]["trials_a_second"] for side in sides)
    print(f"ratio of the last trials a second: {ours / theirs:.1f}")


def print_simulations(cases: dict[str, list[dict[str, Any]]], start_up: float) -> None:
    table = Table(
        title=f"Step 1 of the paper, {PAPER_TRIALS:,} trials, simulated; "
        f"a worker starts up in {start_up:.0f} s"
    )
    for heading in ("subset", "workers", "chief", "hours", "workers busy", "chief busy"):
        table.add_column(heading, justify="right")
    table.add_column("last trial's wait (min)", justify="right")
    table.add_column("saturated by", justify="right")
    for pair in zip(*cases.values(), strict=True):
        for name, case in zip(cases, pair, strict=True):
            table.add_row(
                case["subset"],
                f"{case['workers']:,}",
                name,
                f"{case['hours']:.2f}",
                f"{case['utilisation']:.1%}",
                f"{case['load']:.1%}",
                f"{60 * case['straggling_hours']:.1f}",
                f"{case['saturating_workers']:,.0f}",
            )
    print_table(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, action="append", help="may be repeated; else all")
    parser.add_argument("--overhead-trials", type=int, default=40)
    parser.add_argument("--rows", type=int, default=20_000, help="of the data of these trials")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--trials", type=int, default=PAPER_TRIALS, help="that train nothing")
    parser.add_argument("--workers", type=int, default=128, help="that ask for them")
    parser.add_argument("--window", type=int, default=500, help="trials over which to average")
    parser.add_argument("--crews", type=int, nargs="+", default=[16, 128, 512, 2048])
    parser.add_argument("--start-up", type=float, default=15.0, help="of a simulated worker (s)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    parts = set(args.part or PARTS)

    result: dict[str, Any] = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    if "overhead" in parts:
        result["overhead"] = overhead(args.overhead_trials, args.rows, args.rounds)
        print_overhead(result["overhead"])
    if parts & {"rate", "simulation"}:
        result["rate"] = rate(args.trials, args.workers, args.window)
        print_rate(result["rate"])
    if "simulation" in parts:
        result["start_up"] = args.start_up
        result["simulation"] = simulations(result["rate"], args.crews, args.start_up)
        print_simulations(result["simulation"], args.start_up)
    print(f"load of the machine {result['load']:.1f} before, {os.getloadavg()[0]:.1f} after")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
