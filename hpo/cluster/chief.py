"""The chief: a search whose trials are done by workers that call in over the network.

Calls arrive on gRPC's threads and are answered one at a time by the thread that runs the search,
which alone touches Oracle, journal and screen. A result is on the disk before its worker hears
that it has arrived.
"""

import contextlib
import json
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc

from aeroact import console
from aeroact.errors import AeroactError
from aeroact.files import is_locked, write_text
from aeroact.hpo.attempts import Task
from aeroact.hpo.cluster import place, wire
from aeroact.hpo.cluster.desk import GRACE, LEASE, Answer, Desk, GapError, Lease
from aeroact.hpo.cluster.line import answers
from aeroact.hpo.cluster.post import Post, new_secret
from aeroact.hpo.cluster.protos import service, service_grpc
from aeroact.hpo.cluster.roster import Roster
from aeroact.hpo.folder import RunFolder
from aeroact.hpo.run import Request, Result, run
from aeroact.hpo.training import History
from aeroact.hpo.workers import Listener, Outcome

_TICK = 1.0  # s between looks at what is lost
_LOOK = 0.25  # s between them while calls come in: a look takes longer, the more workers there are
_STATE = 5.0  # s between two states for `aeroact-hpo status`
_BUSY = 10.0  # s that a call waits to be answered
_GOODBYE = 3.0  # s that workers have to hear that all is done
_ALONE = 600.0  # s without any worker after which a search ends
_DESERTED = 60.0  # s, if all of them have said that they go

_STATUS = {
    Answer.GO_ON: wire.Status.RUNNING,
    Answer.WAIT: wire.Status.IDLE,
    Answer.STOP: wire.Status.STOPPED,
    Answer.LET_GO: wire.Status.INVALID,
    Answer.LEAVE: wire.Status.STOPPED,
}


class OutOfTimeError(AeroactError):
    """The job's time is over; the next one goes on."""


@dataclass
class _Call:
    """A worker's call and the answer that it waits for.

    Attributes
    ----------
    answer : callable
        Takes the desk and the outcomes of the moment, to which it may add one.
    reply : Future
        The message that goes back.
    """

    answer: Callable[[Desk, list[Outcome[Task, History]]], Any]
    reply: futures.Future[Any] = field(default_factory=futures.Future)


class Chief:
    """A crew of workers elsewhere; see `aeroact.hpo.crew.Crew`.

    Parameters
    ----------
    folder : RunFolder
        Of the run.
    post : Post
        Where it is to be reached.
    after_another : bool
        Whether a chief was killed here, whose workers may still be at work.
    """

    def __init__(self, folder: RunFolder, post: Post, *, after_another: bool = False) -> None:
        self.folder, self.post = folder, post
        self.roster = Roster(LEASE)
        self.tried, self.finished = False, 0
        self._grace = GRACE if after_another else 0.0
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._desk: Desk | None = None
        self._over = False
        self._stop_at: float | None = None
        self._told: set[str] = set()
        self._heard_at = self._idle_since = time.monotonic()  # when there last was a worker
        self._wrote_at = 0.0

    def run(
        self,
        begun: Sequence[Task],
        tasks: Iterator[Task | None],
        listener: Listener[Task],
        timeout: float | None,
    ) -> Iterator[Outcome[Task, History]]:
        """Work off tasks; each worker ends by itself what takes longer than the `timeout`.

        Raises
        ------
        OutOfTimeError
            Where `run_out` was called.
        AeroactError
            If all workers have gone.
        """
        desk = self._desk = Desk(begun, tasks, listener, self.roster, time.monotonic(), self._grace)
        # Until now, the workers could not be heard.
        last = self._heard_at = time.monotonic()
        self.roster.pardon(last - self._idle_since)
        self._grace, self.tried = 0.0, True
        call, looked_at = None, 0.0
        try:
            while not desk.finished:
                call = self._next_call()
                now = time.monotonic()
                if now - last > 5 * _TICK:
                    # It was we who did not listen.
                    desk.pardon(now - last)
                    self.roster.pardon(now - last)
                last = now
                looks = call is None or now - looked_at > _LOOK
                outcomes = desk.tick(now, time.time()) if looks else []
                reply = self._answer(call, desk, outcomes) if call else None
                for outcome in outcomes:
                    self.finished += 1
                    yield outcome
                if call and reply is not None:
                    call.reply.set_result(reply)
                if looks or self._stop_at is not None:
                    looked_at = now
                    self._look_around(desk, now)
        finally:
            self._desk, self._idle_since = None, time.monotonic()
            if call and not call.reply.done():
                call.reply.set_exception(TimeoutError())
            self._send_away()

    def _next_call(self) -> _Call | None:
        try:
            call = self._calls.get(timeout=_TICK)
        except queue.Empty:
            return None
        # One whose caller gave up waiting is not to be answered.
        return call if call.reply.set_running_or_notify_cancel() else None

    def _send_away(self) -> None:
        """Have those whose call nobody answers any more call again."""
        with contextlib.suppress(queue.Empty):
            while True:
                call = self._calls.get_nowait()
                if call.reply.set_running_or_notify_cancel():
                    call.reply.set_exception(TimeoutError())

    def _answer(self, call: _Call, desk: Desk, outcomes: list[Outcome[Task, History]]) -> Any:
        try:
            return call.answer(desk, outcomes)
        except GapError as gap:
            call.reply.set_exception(gap)
            return None

    def _look_around(self, desk: Desk, now: float) -> None:
        """See to everything that no worker asks for."""
        for member in self.roster:
            if member.aside and member.name not in self._told:
                self._told.add(member.name)
                console.warn(f"worker {member.name} is put aside: {member.aside}")
        self._look_for_workers(now)
        if now - self._wrote_at > _STATE:
            self._wrote_at = now
            self.write_state("at work")
        if self._stop_at is not None and (not desk.leases or now > self._stop_at):
            raise OutOfTimeError(f"{self.folder.path}: the job's time is over")

    def _look_for_workers(self, now: float) -> None:
        """End the search if there have been none for a while, and say why if that is known."""
        if self.roster.present(now):
            self._heard_at = now
        reasons = {member.name: member.left or member.aside for member in self.roster}
        patience = _DESERTED if reasons and all(reasons.values()) else _ALONE
        if now - self._heard_at > patience:
            why = "; ".join(f"{name}: {why}" for name, why in reasons.items() if why)
            raise AeroactError(
                f"{self.folder.path}: no worker is there ({why or 'none is heard of'}); see "
                f"{self.folder.logs}, and submit again"
            )

    def run_out(self, seconds: float) -> None:
        """Begin nothing any more; what runs may end within some seconds."""
        if self._over:
            return
        if self._desk is None:
            raise OutOfTimeError(f"{self.folder.path}: the job's time is over")
        self._stop_at = time.monotonic() + seconds

    def write_state(self, state: str) -> None:
        """Write down who is at work, for `aeroact-hpo status` on any machine."""
        record = {
            "state": state,
            "job": self.post.job,
            "host": self.post.host,
            "started": self.post.started,
            "written": time.time(),
            "workers": self.roster.record(time.monotonic()),
        }
        write_text(self.folder.cluster / "state.json", json.dumps(record, indent=1) + "\n")

    # What callers want, on gRPC's threads:

    def ask(self, worker: str) -> Any:
        """Answer ``CreateTrial``."""
        if self._over:
            self.roster.left(worker, "it was told that all is done")
            return wire.trial_message("", wire.Status.STOPPED, {})
        if self._desk is None:
            return wire.trial_message("", wire.Status.IDLE, {})

        def answer(desk: Desk, outcomes: list[Outcome[Task, History]]) -> Any:
            now = time.monotonic()
            if self._stop_at is not None:
                self.roster.heard(worker, now)
                return wire.trial_message("", wire.Status.IDLE, {})
            given = desk.ask(worker, now, time.time())
            if isinstance(given, Lease):
                return wire.assignment(given.name, given.task)
            return wire.trial_message("", _STATUS[given], {})

        return self._call(answer)

    def report(self, request: Any) -> Any:
        """Answer ``UpdateTrial``."""
        lease, first, curve = request.trial_id, request.step, wire.curve_in(request)
        wire.parts_of(lease)

        def answer(desk: Desk, outcomes: list[Outcome[Task, History]]) -> Any:
            told = desk.report(lease, first, curve, time.monotonic(), time.time())
            return wire.trial_message(lease, _STATUS[told], {})

        return self._call(answer)

    def end(self, message: Any) -> Any:
        """Answer ``EndTrial``."""
        lease, done = message.trial_id, message.status == wire.Status.COMPLETED
        _, _, worker = wire.parts_of(lease)
        if done:
            epochs, result = wire.result_in(message)
        else:
            why, leaving = wire.reason_in(message)

        def answer(desk: Desk, outcomes: list[Outcome[Task, History]]) -> Any:
            clocks = time.monotonic(), time.time()
            if done:
                outcome = desk.complete(lease, epochs, result, *clocks)
            elif leaving:
                desk.give_back(lease)
                self.roster.left(worker, why)
                outcome = None
            else:
                killed = message.status == wire.Status.INVALID
                outcome = desk.fail(lease, why, *clocks, killed=killed)
            if outcome is not None:
                outcomes.append(outcome)
            return service.EndTrialResponse()

        return self._call(answer)

    def _call(self, answer: Callable[[Desk, list[Outcome[Task, History]]], Any]) -> Any:
        call = _Call(answer)
        self._calls.put(call)
        try:
            return call.reply.result(_BUSY)
        except TimeoutError:
            if call.reply.cancel():
                raise
            return call.reply.result(_BUSY)

    def say_goodbye(self) -> None:
        """Wait until the workers have heard that all is done, or a moment."""
        self._over = True
        until = time.monotonic() + _GOODBYE
        while self.roster.present(time.monotonic()) and time.monotonic() < until:
            self._send_away()
            time.sleep(0.05)


class _Servicer(service_grpc.OracleServicer):
    """KerasTuner's service, as far as workers need it; the rest it answers by UNIMPLEMENTED."""

    def __init__(self, chief: Chief) -> None:
        self._chief = chief

    def CreateTrial(self, request: Any, context: Any) -> Any:
        """Give a trial."""
        with _aborting(context):
            return service.CreateTrialResponse(trial=self._chief.ask(request.tuner_id))

    def UpdateTrial(self, request: Any, context: Any) -> Any:
        """Take in epochs."""
        with _aborting(context):
            return service.UpdateTrialResponse(trial=self._chief.report(request))

    def EndTrial(self, request: Any, context: Any) -> Any:
        """Take in a result."""
        with _aborting(context):
            return self._chief.end(request.trial)


@contextlib.contextmanager
def _aborting(context: Any) -> Iterator[None]:
    try:
        yield
    except GapError as gap:
        context.abort(grpc.StatusCode.OUT_OF_RANGE, str(gap.known))
    except TimeoutError:
        context.abort(grpc.StatusCode.UNAVAILABLE, "the chief is busy; call again")
    except (KeyError, TypeError, ValueError) as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not a call of this version: {error}")


@contextlib.contextmanager
def serving(folder: RunFolder) -> Iterator[Chief]:
    """Serve a run that is locked for us, until the end of the context.

    Raises
    ------
    AeroactError
        If another chief answers (on a file system whose locks do not reach other machines), or
        the address or port cannot be had.
    """
    before = Post.read(folder)
    if before is not None and answers(before):
        raise AeroactError(_taken(folder, before))
    certificate, key = new_secret()
    credentials = grpc.ssl_server_credentials(
        [(key.encode(), certificate.encode())], certificate.encode(), require_client_auth=True
    )
    # Without SO_REUSEPORT no other process can take a share of our calls.
    server = grpc.server(futures.ThreadPoolExecutor(32, "call"), options=[("grpc.so_reuseport", 0)])
    address, asked = place.chief_address(), place.chief_port()
    try:
        port = server.add_secure_port(f"{address}:{asked}", credentials)
    except RuntimeError as error:
        raise AeroactError(
            f"cannot listen on {address}:{asked or '(any port)'} ({error}); name the address of "
            "an interface of this machine in KERASTUNER_ORACLE_IP, and a free port, or none, in "
            "KERASTUNER_ORACLE_PORT"
        ) from None
    job = place.job()
    post = Post(address, port, place.node(), os.getpid(), job, time.time(), certificate, key)
    chief = Chief(folder, post, after_another=before is not None and before.job == job)
    service_grpc.add_OracleServicer_to_server(_Servicer(chief), server)
    server.start()
    post.write(folder)
    place.note_chief(address, port)
    chief.write_state("at work")
    print(f"Chief on {address}:{port}; workers log to {folder.logs}", flush=True)
    try:
        yield chief
        chief.say_goodbye()
        chief.write_state("finished")
    except OutOfTimeError:
        chief.write_state("out of time")
        raise
    except AeroactError:
        chief.say_goodbye()
        chief.write_state("stopped by an error")
        raise
    finally:
        server.stop(grace=0.5).wait()
        post.remove(folder)


def lead(path: Path, settings: dict[str, Any], request: Request, spare: float) -> Result:
    """Do a search, or go on with one, with workers that call in.

    On SIGUSR1, by which a batch system says that time is running out, nothing new is begun, and
    what has not ended within some seconds is left to the next job.

    Parameters
    ----------
    path, settings
        As for `aeroact.hpo.run.run`.
    request : Request
        Which steps, and how; who trains is seen to here.
    spare : float
        Seconds that what is running has after SIGUSR1.

    Raises
    ------
    OutOfTimeError
        After SIGUSR1, if the search got on at all.
    AeroactError
        If it did not, if another chief is at work, and as `aeroact.hpo.run.run`.
    """
    folder = RunFolder(path)
    if is_locked(path):
        raise AeroactError(_taken(folder, Post.read(folder)))
    os.environ["KERASTUNER_TUNER_ID"] = place.CHIEF
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    chiefs: list[Chief] = []

    def run_out(*_: Any) -> None:
        for chief in chiefs:
            chief.run_out(spare)
        if not chiefs:
            raise OutOfTimeError(f"{path}: the job's time is over")

    @contextlib.contextmanager
    def hire(folder: RunFolder) -> Iterator[Chief]:
        with serving(folder) as chief:
            chiefs.append(chief)
            yield chief

    signal.signal(signal.SIGUSR1, run_out)
    try:
        return run(path, settings, replace(request, hire=hire))
    except OutOfTimeError as error:
        if any(chief.tried and not chief.finished for chief in chiefs):
            raise AeroactError(
                f"{error}, and no trial was finished in it; ask for more --time, or fewer rows "
                "or epochs"
            ) from None
        raise


def _taken(folder: RunFolder, post: Post | None) -> str:
    who = "another process"
    if post is not None:
        who = f"job {post.job} (chief on {post.host})" if post.job else f"a chief on {post.host}"
    return f"{folder.path}: {who} works on this run already; this one leaves"
