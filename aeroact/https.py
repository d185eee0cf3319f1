"""What lies at an https address, and at no other: certificates checked, size and time bounded."""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage
from typing import IO

import aeroact
from aeroact.errors import AeroactError

TIMEOUT = 20.0
"""Seconds that a server may be silent."""

DEADLINE = 600.0
"""Seconds for one file."""

_CHUNK = 1 << 16


def chunks(url: str, limit: int) -> Iterator[bytes]:
    """Receive what lies at an address, piece by piece.

    Parameters
    ----------
    url : str
        An https address. It may be redirected, to others of these.
    limit : int
        Bytes that it has at most.

    Yields
    ------
    bytes
        The next piece.

    Raises
    ------
    AeroactError
        If there is no network, nothing at the address, a certificate that is not trusted, an
        address that is not https, or more or fewer bytes than there should be.
    """
    began, received = time.monotonic(), 0
    try:
        with _open(url) as response:
            # What is cut short looks complete otherwise.
            length = response.headers.get("Content-Length")
            while str(received) != length and (chunk := response.read1(_CHUNK)):
                received += len(chunk)
                if received > limit:
                    raise AeroactError(f"{url}: more than the {limit:,} bytes that it should have")
                if time.monotonic() - began > DEADLINE:
                    raise AeroactError(f"{url}: too slow, given up after {DEADLINE:g} s")
                yield chunk
            if length not in (None, str(received)):
                raise AeroactError(f"{url}: broke off after {received:,} of {length} bytes")
    except urllib.error.HTTPError as error:
        raise AeroactError(
            f"{url}: the server answers {error.code} {_line(error.reason)}"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AeroactError(f"{url}: {_reason(error)}") from error


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows no redirection to what is not https."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            raise AeroactError(
                f"{req.full_url}: redirected to {newurl}, which is not an https address; refused"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str) -> http.client.HTTPResponse:
    if not url.startswith("https://"):
        raise AeroactError(f"{url}: not an https address; nothing is fetched from another")
    # Not build_opener, which adds what opens files, FTP and plain http.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _HttpsOnly(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    agent = {"User-Agent": f"aeroact/{aeroact.__version__}"}
    response: http.client.HTTPResponse = opener.open(
        urllib.request.Request(url, headers=agent),
        timeout=TIMEOUT,
    )
    return response


def _reason(error: Exception) -> str:
    """Say in one line what went wrong, and what to do."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({cause.verify_message}); SSL_CERT_FILE can name "
            "the authority's"
        )
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT:g} s; is there a network?"
    if isinstance(error, urllib.error.URLError):
        return f"cannot be reached ({_line(cause)}); is there a network?"
    return f"broke off ({type(cause).__name__}: {_line(cause)})"


def _line(text: object) -> str:
    return " ".join(str(text).split())
