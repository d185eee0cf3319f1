"""What a chief and its workers cost, how many trials a second it serves, and what that means.

    python benchmarks/cluster.py [--part overhead|rate|simulation ...] [--json FILE]

- `overhead`: the same small search, real data and real trainings, by two processes of one command
  and by a chief and a worker of two slots, all of them real commands on this machine. Both must
  come to the same table.
- `rate`: trials that train nothing, through a real chief, journal and fsync included, by clients
  that say what a worker says, over TLS. Beside it KerasTuner's own chief: its servicer, set up as
  its `start_server` does, around its RandomSearch on the same space, brought to the same number of
  trials with its files switched off and then measured with them. Its clients make three calls a
  trial and report no epochs; KerasTuner's own make one call more.
- `simulation`: the paper's Step 1 on many workers, by discrete events, with what `rate`, which it
  includes, has measured of both chiefs; see `relative_lengths` and `simulate` for what is assumed.
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
from collections.abc import Callable, Iterable, Iterator
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

PARTS = ("overhead", "rate", "simulation")
SEED = 4
SLOTS = 2
SEARCH = {"max_params": 50_000, "p_subset": 1.0, "epochs": 30, "patience": 30}

THREADS = 16
"""Of the clients: each plays several workers in turn."""

EPOCHS = 20
"""That a trial reports which trains nothing."""

BEAT = 2.0
"""Seconds between two reports of a trial, as in `aeroact.hpo.cluster.worker`."""

BEATS = 2048
"""Reports without epochs, by all workers together."""

WINDOW = 500
THEIR_WINDOW = 150
"""Trials over which to average, ours and KerasTuner's."""

START_UP = 15.0
"""Of a worker (s), where `overhead` is not measured."""

PAPER_HOURS = {"5 %": 5.2, "25 %": 23.4, "50 %": 48.6, "100 %": 94.3}
"""Step 1 of Yu et al. (2024) by subset: 10,000 trials on 16 V100."""

PAPER_TRIALS, PAPER_WORKERS = 10_000, 16

_spawn = multiprocessing.get_context("spawn")


# Overhead: the same search by processes, and by chief and worker


def overhead(trials: int, rows: int, rounds: int) -> dict[str, Any]:
    """Search with both, in turn; of each the fastest round counts."""
    searches = {"processes": search_with_processes, "chief and worker": search_with_chief}
    best: dict[str, Any] = {}
    tables = []
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "activation.nc"
        generate(data, Job(n=rows, seed=SEED))
        settings = SEARCH | {"data": data, "seed": SEED, "trials": trials}
        for k in range(rounds):
            for name, search in searches.items():
                folder = RunFolder(Path(directory) / f"{name}-{k}")
                run.begin(folder.path, settings, {1})
                side = timed(folder, search)
                tables.append(what_was_found(folder))
                if name not in best or side["search_seconds"] < best[name]["search_seconds"]:
                    best[name] = side
    if any(table != tables[0] for table in tables):
        raise RuntimeError("the searches came to different tables")
    return {"trials": trials, "rows": rows, "rounds": rounds, **best}


def search_with_processes(folder: RunFolder) -> list[subprocess.Popen[bytes]]:
    """Start a search by processes of one command."""
    return [start("step1", "--out", folder.path, "--workers", SLOTS)]


def search_with_chief(folder: RunFolder) -> list[subprocess.Popen[bytes]]:
    """Start a chief and a worker, as a batch job does."""
    chief = start("worker", folder.path, "--step", 1, KERASTUNER_TUNER_ID="chief")
    return [chief, start("worker", folder.path, "--slots", SLOTS)]


def start(*arguments: Any, **variables: str) -> subprocess.Popen[bytes]:
    """Start `aeroact-hpo`, outside any batch job."""
    others = ("KERASTUNER_", "SLURM", "PBS_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(others)}
    environment |= {"CUDA_VISIBLE_DEVICES": ""} | variables
    command = [str(Path(sys.executable).with_name("aeroact-hpo")), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def timed(
    folder: RunFolder, search: Callable[[RunFolder], list[subprocess.Popen[bytes]]]
) -> dict[str, Any]:
    """Wait for a search's processes; times are seconds.

    The search alone begins with the first training, when imports and the layout of the data are
    over. A slot that does not train then is idle: between two trials, or at the end.
    """
    began, cpu = time.time(), []
    for process in search(folder):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{process.args!r} exits with {process.returncode}")
        cpu.append(usage.ru_utime + usage.ru_stime)
    ended = time.time()
    trials = folder.journal.finished(1).values()
    first = min(trial.ended - trial.seconds for trial in trials)
    alone = max(trial.ended for trial in trials) - first
    return {
        "seconds": ended - began,
        "start_up": first - began,
        "search_seconds": alone,
        "trials_an_hour": 3600 * len(trials) / alone,
        "idle_ms": 1e3 * (SLOTS * alone - sum(trial.seconds for trial in trials)) / len(trials),
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


def rate(trials: int, workers: int, many: int) -> dict[str, Any]:
    """Measure both chiefs: each a process of its own, as are the clients."""
    theirs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory, process(kerastuners_chief, trials) as chief:
        for when in ("first", "last"):
            folder = Path(directory) / when
            chief.send(str(folder))
            with process(play_workers, kerastuners_calls, chief.recv(), THREADS) as clients:
                clients.recv()
            theirs[when] = chief.recv()
    ours = with_our_chief(trials, workers)
    crowd = with_our_chief(many + WINDOW, many)
    return {
        "trials": trials,
        "workers": workers,
        "many_workers": many,
        "aeroact": ours | {"beats_a_second_with_many": crowd["beats_a_second"]},
        "KerasTuner": theirs,
    }


def with_our_chief(trials: int, workers: int) -> dict[str, Any]:
    """Let so many workers have trials of our chief."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        with process(our_chief, folder, trials, workers) as chief:
            chief.recv()
            with process(play_workers, our_calls, folder, workers) as clients:
                beats = clients.recv()
            measured: dict[str, Any] = chief.recv()
    return measured | {"beats_a_second": beats}


@contextmanager
def process(work: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """Have a process of its own do some work; gives a pipe to it."""
    ours, theirs = _spawn.Pipe()
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


class Ends:
    """When trials ended, and the CPU time of this process then (s)."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, float]] = []

    def note(self) -> None:
        """Note that a trial has ended."""
        self._marks.append((time.monotonic(), time.process_time()))

    def between(self, first: int, last: int) -> dict[str, float]:
        """Return what the trials between two numbers of finished ones took."""
        (before, cpu_before), (after, cpu_after) = self._marks[first - 1], self._marks[last - 1]
        wall, cpu = after - before, cpu_after - cpu_before
        return {"trials_a_second": (last - first) / wall, "cpu_ms": 1e3 * cpu / (last - first)}


def our_chief(folder: Path, trials: int, workers: int, pipe: Connection) -> None:
    """Do Step 1 as `aeroact-hpo worker` does; says that it listens, then what it measured."""
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
    first = ends.between(workers, workers + WINDOW)
    pipe.send({"first": first, "last": ends.between(trials - WINDOW, trials)})


def kerastuners_chief(trials: int, pipe: Connection) -> None:
    """Serve KerasTuner's first trials, then its last, in a folder that comes by the pipe."""
    load_backend()
    from concurrent import futures

    import grpc
    from keras_tuner.src.distribute.oracle_chief import OracleServicer, exit_chief
    from kerastuner_oracle import RandomOracle

    class Oracle(RandomOracle):
        ends = Ends()

        def end_trial(self, trial: Any) -> None:
            super().end_trial(trial)
            self.ends.note()

    def bring_to(done: int) -> None:
        oracle.writes, oracle.max_trials = False, done
        while len(oracle.trials) < done:
            oracle.complete_one("nobody")
        oracle.tuner_ids.clear()
        oracle.writes, oracle.ends = True, Ends()

    def serve() -> dict[str, float]:
        oracle._set_project_dir(pipe.recv(), "search")
        oracle.max_trials += THEIR_WINDOW + 2 * THREADS
        servicer = OracleServicer(oracle)
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
        service_grpc.add_OracleServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        pipe.send(f"127.0.0.1:{port}")
        while not (servicer.stop_triggered and exit_chief(oracle)):
            time.sleep(0.1)
        server.stop(grace=1).wait()
        return oracle.ends.between(THREADS, THREADS + THEIR_WINDOW)

    oracle = Oracle(trials, writes=False)
    # It prints twenty numbers, left over from somebody's debugging, for each trial that ends.
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        for done in (0, trials - THEIR_WINDOW - THREADS):
            bring_to(done)
            pipe.send(serve())


Calls = tuple[Callable[[str], Any], Callable[[Any], None], Callable[[Any], None] | None]
"""What a worker says: asks for a trial (None: there is none), ends it, says that it lives."""


def our_calls(folder: Path) -> Calls:
    """Return the calls of our workers; a trial's end is told with all of its epochs."""
    run_folder = RunFolder(folder)
    project, line, chance = run_folder.project(), Line(run_folder), random.Random(SEED)

    def ask(worker: str) -> str | None:
        request = service.CreateTrialRequest(tuner_id=worker)
        trial = line.call("CreateTrial", request).trial
        if trial.status != wire.Status.RUNNING:
            return None
        wire.task_in(trial, project, run_folder)
        return str(trial.trial_id)

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


def kerastuners_calls(address: str) -> Calls:
    """Return the calls of KerasTuner's workers, who do not say that they live."""
    import grpc

    stub = service_grpc.OracleStub(grpc.insecure_channel(address))

    def ask(worker: str) -> Any:
        trial = stub.CreateTrial(service.CreateTrialRequest(tuner_id=worker)).trial
        return trial if trial.status == wire.Status.RUNNING else None

    def end(trial: Any) -> None:
        update = service.UpdateTrialRequest(trial_id=trial.trial_id, metrics={"val_loss": 0.1})
        stub.UpdateTrial(update)
        trial.status = wire.Status.COMPLETED
        stub.EndTrial(service.EndTrialRequest(trial=trial))

    return ask, end, None


def play_workers(
    calls_to: Callable[[Any], Calls], chief: Any, workers: int, pipe: Connection
) -> None:
    """Be all workers until the chief has no more trials; sends how many beats a second it took."""
    barrier = threading.Barrier(THREADS)
    beats, spans = BEATS // workers, []

    def play(names: list[str]) -> None:
        ask, end, beat = calls_to(chief)
        held = {name: ask(name) for name in names}
        barrier.wait()
        began = time.monotonic()
        for _ in range(beats if beat else 0):
            for trial in held.values():
                beat(trial)  # type: ignore[misc]
        spans.append((began, time.monotonic()))
        barrier.wait()
        while held:
            for name in list(held):
                end(held[name])
                held[name] = ask(name)
                if held[name] is None:
                    del held[name]

    crews = [[f"worker-{k}" for k in range(i, workers, THREADS)] for i in range(THREADS)]
    threads = [threading.Thread(target=play, args=(names,)) for names in crews]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begins, ends = zip(*spans, strict=True)
    pipe.send(beats * workers / (max(ends) - min(begins)))


# Simulation: the paper's Step 1 on many workers


@dataclass(frozen=True)
class Service:
    """The time of a chief (s): for the first and the last trial, evenly in between, and for a beat.

    Each worker sends a beat every two seconds. A call, of which a trial has three, may take
    longer the more workers there are: by `member` for each of them.
    """

    first: float
    last: float
    beat: float = 0.0
    member: float = 0.0

    def of_beats(self, workers: Any) -> Any:
        """Return the part of its time that beats take."""
        return workers * (self.beat + self.member * workers) / BEAT

    def of_trial(self, done: float, workers: Any) -> Any:
        """Return what a trial needs when a fraction is done."""
        return self.first + (self.last - self.first) * done + 3 * self.member * workers

    def most_workers(self, mean_length: float) -> int:
        """Return how many workers leave it no pause any more, when nearly all trials are done."""
        workers = np.arange(1, 100_000)
        load = workers * self.of_trial(1.0, workers) / mean_length + self.of_beats(workers)
        return int(np.searchsorted(load, 1.0)) + 1


def service_times(measured: dict[str, Any]) -> dict[str, Service]:
    """Return the chiefs' times as `rate` measured them."""
    ours = measured["aeroact"]
    few, many = measured["workers"], measured["many_workers"]
    beat, beat_of_many = 1 / ours["beats_a_second"], 1 / ours["beats_a_second_with_many"]
    member = max(beat_of_many - beat, 0.0) / (many - few)
    costs = {
        name: [1 / measured[name][when]["trials_a_second"] for when in ("first", "last")]
        for name in ("aeroact", "KerasTuner")
    }
    first, last = (cost - 3 * member * few for cost in costs["aeroact"])
    return {
        "aeroact": Service(first, last, beat - member * few, member),
        "KerasTuner": Service(*costs["KerasTuner"]),
    }


def relative_lengths(trials: int) -> NDArray[np.float64]:
    """Draw how long trials take, as multiples of their mean.

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
    return lengths / lengths.mean()


def simulate(
    lengths: NDArray[np.float64], workers: int, chief: Service, start_up: float
) -> dict[str, float]:
    """Let workers do trials that a chief hands out in order.

    The chief is one server: who has ended a trial waits its turn, then the chief takes in the
    result and hands out the next. It is slower by what beats take of its time. Workers start
    together, and are ready after `start_up` seconds; nothing dies.

    Returns the `load` of the chief; where that is below 1, also `hours` in all, `utilisation` of
    workers, and `straggling_hours` that they wait on average for the last trial.
    """
    beats = float(chief.of_beats(workers))
    if beats >= 1:
        return {"load": beats}
    asking = [start_up] * min(workers, len(lengths))
    free, busy = 0.0, 0.0
    for k, length in enumerate(lengths):
        needed = float(chief.of_trial(k / len(lengths), workers))
        free = max(heapq.heappop(asking), free) + needed / (1 - beats)
        busy += needed
        heapq.heappush(asking, free + float(length))
    end = max(asking)
    return {
        "load": busy / end + beats,
        "hours": end / 3600,
        "utilisation": float(lengths.sum()) / (workers * end),
        "straggling_hours": (end - sum(asking) / len(asking)) / 3600,
    }


def simulations(
    measured: dict[str, Any], crews: list[int], start_up: float
) -> list[dict[str, Any]]:
    """Do the paper's searches with both chiefs."""
    chiefs, relative = service_times(measured), relative_lengths(PAPER_TRIALS)
    cases = []
    for subset, hours in PAPER_HOURS.items():
        mean = hours * 3600 * PAPER_WORKERS / PAPER_TRIALS
        for workers in crews:
            for name, chief in chiefs.items():
                case = {"subset": subset, "mean_length": mean, "workers": workers, "chief": name}
                case |= simulate(mean * relative, workers, chief, start_up)
                cases.append(case | {"most_workers": chief.most_workers(mean)})
    return cases


# Tables


def show(title: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    print_table(table)


def show_overhead(result: dict[str, Any]) -> None:
    columns = {
        "whole (s)": "seconds",
        "start-up (s)": "start_up",
        "search alone (s)": "search_seconds",
        "trials/h of it": "trials_an_hour",
        "slots idle (ms a trial)": "idle_ms",
        "CPU (s)": "cpu_seconds",
    }
    sides = {name: result[name] for name in ("processes", "chief and worker")}
    rows = [[name, *(f"{s[key]:,.1f}" for key in columns.values())] for name, s in sides.items()]
    ours, theirs = sides["chief and worker"], sides["processes"]
    rows.append(["ratio", *(f"{ours[key] / theirs[key]:.3f}" for key in columns.values())])
    title = f"The same {result['trials']} trials on {SLOTS} cores, {result['rows']:,} rows"
    show(f"{title}, fastest of {result['rounds']}", ["", *columns], rows)
    chief, worker = ours["cpu_seconds_each"]
    print(f"CPU of the chief {chief:.1f} s, of the worker and its processes {worker:.1f} s")


def show_rate(result: dict[str, Any]) -> None:
    ours, theirs = result["aeroact"], result["KerasTuner"]
    rows = [
        [f"{unit}, {when} trials", f"{ours[when][key]:.1f}", f"{theirs[when][key]:.1f}"]
        for when in ("last", "first")
        for key, unit in {"trials_a_second": "trials/s", "cpu_ms": "CPU ms a trial"}.items()
    ]
    rows += [
        ["workers", str(result["workers"]), str(THREADS)],
        ["beats/s", f"{ours['beats_a_second']:,.0f}", "none"],
        [f"beats/s of {result['many_workers']:,}", f"{ours['beats_a_second_with_many']:,.0f}", ""],
    ]
    title = f"Trials that train nothing, served by one chief, {result['trials']:,} done"
    show(title, ["", "aeroact", "KerasTuner"], rows)
    ratio = ours["last"]["trials_a_second"] / theirs["last"]["trials_a_second"]
    print(f"ratio of the last trials a second: {ratio:.1f}")


def show_simulations(cases: list[dict[str, Any]], start_up: float) -> None:
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "subset": lambda case: case["subset"],
        "workers": lambda case: f"{case['workers']:,}",
        "chief": lambda case: case["chief"],
        "hours": lambda case: f"{case['hours']:.2f}" if "hours" in case else "saturated",
        "workers busy": lambda case: f"{case.get('utilisation', 0):.1%}",
        "chief busy": lambda case: f"{case['load']:.1%}",
        "wait for the last (min)": lambda case: f"{60 * case.get('straggling_hours', 0):.1f}",
        "saturated by": lambda case: f"{case['most_workers']:,}",
    }
    rows = [[column(case) for column in columns.values()] for case in cases]
    title = f"Step 1 of the paper, {PAPER_TRIALS:,} trials, simulated"
    show(f"{title}; a worker starts up in {start_up:.0f} s", columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, action="append", help="may be repeated; else all")
    parser.add_argument("--searched", type=int, default=40, help="trials that train")
    parser.add_argument("--rows", type=int, default=20_000, help="of their data")
    parser.add_argument("--rounds", type=int, default=2, help="of their search")
    parser.add_argument("--trials", type=int, default=PAPER_TRIALS, help="that train nothing")
    parser.add_argument("--workers", type=int, default=128, help="that ask for these")
    parser.add_argument("--many", type=int, default=1024, help="workers that beat")
    parser.add_argument("--crews", type=int, nargs="+", default=[16, 128, 512, 2048])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    parts, start_up = set(args.part or PARTS), START_UP

    result: dict[str, Any] = {"cores": os.cpu_count(), "load": os.getloadavg()}
    if "overhead" in parts:
        result["overhead"] = overhead(args.searched, args.rows, args.rounds)
        show_overhead(result["overhead"])
        start_up = result["overhead"]["chief and worker"]["start_up"]
    if parts & {"rate", "simulation"}:
        result["rate"] = rate(args.trials, args.workers, args.many)
        show_rate(result["rate"])
    if "simulation" in parts:
        result["simulation"] = simulations(result["rate"], args.crews, start_up)
        show_simulations(result["simulation"], start_up)
    result["load_after"] = os.getloadavg()
    print(
        f"load of the machine {result['load'][0]:.1f} before, {result['load_after'][0]:.1f} after"
    )
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
