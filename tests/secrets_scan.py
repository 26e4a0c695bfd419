"""Looks for keys and passwords in the files of the repository: `python -m tests.secrets_scan`, part of `make check`.

For what systems like this one handle: ruff's S105 and S106 look into Python's assignments, this at every text.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an API key of Baylight": re.compile(r"\bbl_[a-z0-9]{8}_[\w-]{43}"),
    "a token (ChirpStack's API keys are such)": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}"),
    "an API key of The Things Stack": re.compile(r"\bNNSXS\.[A-Z2-7]{39}\.[A-Z2-7]{52}"),
    "an access key of AWS": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a token of GitHub, GitLab or Slack": re.compile(
        r"\b(gh[pousr]_\w{36}|github_pat_\w{40}|glpat-[\w-]{20}|xox[abpr]-[\w-]{20})"
    ),
    "a bcrypt hash": re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}"),
    "a password in an address": re.compile(r"://[^/\s:@'\"{}$]+:(?!secret@|…)[^/\s@'\"{}$]+@"),
    "a password that is assigned": re.compile(
        r"(?i)^\s*(export\s+)?[\w.-]*(passw(or)?d|secret|token|api_?key)[\w.-]*\s*[=:]\s*['\"]?(?=[^\s'\"]*\d)[\w/+.-]{16,}['\"]?\s*$"
    ),
}  # fmt: skip
FILES = re.compile(r"(^|/)(\.env(\..*)?|id_(rsa|ed25519|ecdsa)|[^/]*\.(pem|key|p12|pfx|jks|kdbx))$")


def found(path: str, text: str) -> Iterator[str]:
    """A line for each secret: where, and of what kind; never the secret itself."""
    if FILES.search(path):
        yield f"{path}: a file for secrets"
    for number, line in enumerate(text.splitlines(), 1):
        for kind, form in KINDS.items():
            if form.search(line):
                yield f"{path}:{number}: {kind}"


def files() -> list[str]:
    """Those that git has, or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def main() -> int:
    lines = [line for name in files() for line in found(name, (ROOT / name).read_text("utf-8", "replace"))]
    print("\n".join(lines) or "no secrets found")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
