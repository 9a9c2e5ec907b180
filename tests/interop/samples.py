"""What the Python tours share: the samples, and where the server is."""

import hashlib
import json
import os
import pathlib
import ssl

FOLDER = pathlib.Path(os.environ["SAMPLES"])
MANIFEST = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
SECURITY = os.environ["SECURITY"]
HOST = "localhost" if SECURITY != "plain" else "127.0.0.1"
PORT = int(os.environ["PORT"])
ACCOUNT, PASSWORD = os.environ["ACCOUNT"], os.environ["PASSWORD"]


def tls():
    """Checks the server's certificate and name against the test's authority."""
    return ssl.create_default_context(cafile=os.environ["AUTHORITY"])


def of(mailbox):
    return [message for message in MANIFEST["messages"] if message["mailbox"] == mailbox]


def data(file):
    return (FOLDER / "mail" / file).read_bytes()


def sha256(octets):
    return hashlib.sha256(octets).hexdigest()


def same(got, expected, what):
    if got != expected:
        raise SystemExit(f"{what}: got {got!r}, expected {expected!r}")
