"""A worker's line to the chief, found again whenever it breaks."""

import os
import threading
import time
from dataclasses import replace
from typing import Any

import grpc

from aeroact.errors import AeroactError
from aeroact.hpo.cluster import place
from aeroact.hpo.cluster.post import NAME, Post
from aeroact.hpo.cluster.protos import service_grpc
from aeroact.hpo.cluster.rescue import queue_again_if_headless
from aeroact.hpo.folder import RunFolder

_DEADLINE = 15.0  # s for an answer; the chief lets nobody wait longer than ten
_AGAIN = 1.0  # s between two tries
_WORRY = 15.0  # s without an answer between two looks at whether there still is a job
PATIENCE = 600.0
"""Seconds after which a chief that does not answer is given up."""

_BROKEN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}


class NoChiefError(AeroactError):
    """Nobody answers."""


class Line:
    """Calls the chief of a run, wherever that is at the moment.

    Parameters
    ----------
    folder : RunFolder
        Holds the secret, and says where the chief is, if the environment does not.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._address = os.environ.get("KERASTUNER_ORACLE_IP")
        self._port = place.chief_port()
        self._lock = threading.Lock()
        self._stub: Any = None
        self._post: Post | None = None
        self._broken = True
        self._worried_at = time.monotonic()

    def call(self, method: str, request: Any, patience: float = PATIENCE) -> Any:
        """Call a method of KerasTuner's service; tries again while nobody answers.

        Raises
        ------
        NoChiefError
            If nobody has answered for as long as the patience lasts (s).
        grpc.RpcError
            What the chief itself answered, if it is an error.
        """
        until = time.monotonic() + patience
        while True:
            stub = self._find_chief()
            if stub is not None:
                try:
                    answer = getattr(stub, method)(request, timeout=_DEADLINE)
                except grpc.RpcError as error:
                    if error.code() not in _BROKEN:
                        raise
                    self._broken = True
                else:
                    self._worried_at = time.monotonic()
                    return answer
            if time.monotonic() - self._worried_at > _WORRY:
                self._worried_at = time.monotonic()
                queue_again_if_headless()
                if stub is None and self._folder.finished:
                    raise NoChiefError(f"{self._folder.path}: the run is finished")
            if time.monotonic() + _AGAIN > until:
                raise NoChiefError(f"{self._folder.path}: no chief has answered")
            time.sleep(_AGAIN)

    def _find_chief(self) -> Any:
        """Return a stub for the chief that is there now, if any."""
        with self._lock:
            if not self._broken and self._stub is not None:
                return self._stub
            self._broken = False
            post = Post.read(self._folder)
            # While another job's chief works on this run, ours is yet to come.
            if post is not None and post.job and place.job() not in {"", post.job}:
                post = None
            elif post is not None:
                address, port = self._address or post.address, self._port or post.port
                post = replace(post, address=address, port=port)
            if post != self._post:
                # The channel before is not closed: another thread may be in the middle of a call.
                self._stub, self._post = None, post
                if post is not None:
                    self._stub = service_grpc.OracleStub(_channel(post))
                    place.note_chief(post.address, post.port)
            return self._stub


def _channel(post: Post) -> grpc.Channel:
    certificate = post.certificate.encode()
    credentials = grpc.ssl_channel_credentials(certificate, post.key.encode(), certificate)
    options = [
        ("grpc.ssl_target_name_override", NAME),
        ("grpc.enable_http_proxy", 0),  # for the web, not for a cluster's own network
        ("grpc.initial_reconnect_backoff_ms", 500),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]
    return grpc.secure_channel(f"{post.address}:{post.port}", credentials, options)


def answers(post: Post) -> bool:
    """Return whether a chief can be reached at a post."""
    with _channel(post) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=3)
        except grpc.FutureTimeoutError:
            return False
    return True
