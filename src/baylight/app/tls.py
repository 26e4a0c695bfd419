"""TLS settings of connections to brokers."""

from __future__ import annotations

import ssl
from pathlib import Path

from baylight.errors import InputError


def trusting(ca: Path | None, setting: str) -> ssl.SSLContext:
    """Return a context that trusts `ca`, else the system's certificates. Raises InputError `bad_tls_files`."""
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise InputError("bad_tls_files", f"{setting} {ca}: {error}") from error


def not_encrypted(given: str, missing: str) -> InputError:
    """Return the error `not_encrypted` for a setting that has an effect with TLS only."""
    return InputError("not_encrypted", f"{given} is set, but nothing is encrypted: set {missing}=true as well")
