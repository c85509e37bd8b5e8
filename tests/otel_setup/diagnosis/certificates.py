"""Certificates for tests, made by openssl when they are needed: an authority, servers, a client."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONFIG = """\
[ca]
default_ca = authority
[authority]
database = {folder}/index.txt
new_certs_dir = {folder}
serial = {folder}/serial
default_md = sha256
policy = anything
unique_subject = no
copy_extensions = copy
[anything]
commonName = supplied
[req]
distinguished_name = name
[name]
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: str
    key: str


class Authority:
    """Issues certificates, with its files in a folder."""

    def __init__(self, folder: Path, name: str = "tests' authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._config = folder / "openssl.cnf"
        self._config.write_text(_CONFIG.format(folder=folder))
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01\n")
        self.certificate = str(folder / "authority.pem")
        self._key = str(folder / "authority.key")
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        added = [word for extension in extensions for word in ("-addext", extension)]
        self._openssl(
            "req", "-x509", *self._new_key(self._key), "-subj", f"/CN={name}", "-days", "2", *added,
            "-out", self.certificate,
        )  # fmt: skip

    def issue(self, name: str, names: str, start: str = "", end: str = "") -> Pair:
        """A certificate.

        :param name: of its files
        :param names: whom it is for, such as ``DNS:localhost,IP:127.0.0.1``
        :param start: from when it is valid, ``YYYYMMDDHHMMSSZ``; now where not given
        :param end: until when; a day from now where not given
        """
        request, certificate, key = (str(self._folder / f"{name}.{kind}") for kind in ("csr", "pem", "key"))
        self._openssl(
            "req", *self._new_key(key), "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}", "-out", request
        )
        validity = ["-startdate", start] if start else []
        validity += ["-enddate", end] if end else ["-days", "1"]
        self._openssl(
            "ca", "-batch", "-notext", *validity, "-cert", self.certificate, "-keyfile", self._key,
            "-in", request, "-out", certificate,
        )  # fmt: skip
        return Pair(certificate, key)

    @staticmethod
    def _new_key(file: str) -> list[str]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", file]

    def _openssl(self, command: str, *words: str) -> None:
        done = subprocess.run(
            ["openssl", command, "-config", str(self._config), *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
