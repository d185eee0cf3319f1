"""Where the chief of a run can be reached, and the secret that its callers must hold.

KerasTuner's own chief answers anybody. Ours speaks TLS, with a certificate that it makes for
itself when it starts and asks of every caller in return. Key and certificate lie in the run's
folder, in a file that its owner alone can read: who cannot read that can neither ask nor listen,
nor pass for the chief.
"""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aeroact.files import replacing
from aeroact.hpo.folder import RunFolder

NAME = "aeroact"
"""Whom the certificate names: it vouches for the run, whatever the machine's address."""


@dataclass(frozen=True)
class Post:
    """Where a chief is to be found.

    Attributes
    ----------
    address : str
        IP address or host name.
    port : int
        TCP.
    host : str
        Name of the machine.
    pid : int
        The chief's process there.
    job : str
        The batch job that it is part of; empty without one.
    started : float
        When it was set up (Unix time, s).
    certificate, key : str
        PEM.
    """

    address: str
    port: int
    host: str
    pid: int
    job: str
    started: float
    certificate: str
    key: str

    @classmethod
    def read(cls, folder: RunFolder) -> "Post | None":
        """Return the post of a run; None if no chief is, or was, at work."""
        try:
            return cls(**json.loads(_file(folder).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def write(self, folder: RunFolder) -> None:
        """Make it known to who may read the file."""
        with replacing(_file(folder)) as part:
            part.touch(mode=0o600)
            part.write_text(json.dumps(asdict(self)), encoding="utf-8")

    def remove(self, folder: RunFolder) -> None:
        """Take it back, unless another chief has taken its place."""
        if Post.read(folder) == self:
            _file(folder).unlink()


def _file(folder: RunFolder) -> Path:
    return folder.cluster / "chief.json"


def new_secret() -> tuple[str, str]:
    """Make a certificate, and the key to it, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(os.urandom(16)))
        # The clocks of a cluster need not agree.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()
