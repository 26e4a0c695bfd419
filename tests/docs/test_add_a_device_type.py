"""Follows docs/how-to/add-a-device-type.md in a copy of the sources."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/how-to/add-a-device-type.md").read_text("utf-8")
FILES = re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

ALONE = ("-p", "no:cacheprovider", "-p", "no:xdist")


def section(title: str) -> list[str]:
    """The code blocks under a heading."""
    text = re.split(r"^## ", PAGE.split(f"## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def follow(folder: Path) -> None:
    """Steps 1 to 4 of the page."""
    skip = shutil.ignore_patterns("__pycache__", "samples")
    shutil.copytree(ROOT / "src/baylight", folder / "src/baylight", ignore=skip)
    for part in ("tests/__init__.py", "tests/codecs/__init__.py", "pyproject.toml"):
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / part, folder / part)
    for test in ("test_samples.py", "test_catalogue.py"):
        shutil.copy(ROOT / "tests/codecs" / test, folder / "tests/codecs" / test)
    shutil.copytree(ROOT / "tests/codecs/samples", folder / "tests/codecs/samples")
    for name, text in FILES:
        assert not (folder / name).exists(), name
        (folder / name).write_text(text, "utf-8")
    everything = folder / "src/baylight/codecs/all.py"
    text = everything.read_text("utf-8")
    for diff in section("3. Say that it ships"):
        before = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] == " ")
        after = "".join(line[1:] for line in diff.splitlines(keepends=True))
        assert before in text
        text = text.replace(before, after, 1)
    everything.write_text(text, "utf-8")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_page_names_three_files():
    assert [name for name, _ in FILES] == [
        "src/baylight/codecs/devices/acme_bay_eye.py",
        "src/baylight/catalogue/acme_bay_eye.toml",
        "tests/codecs/samples/acme_bay_eye.toml",
    ]


def test_who_follows_the_page_has_a_proven_device_type(tmp_path: Path):
    follow(tmp_path)
    command, snippet, shown = section("5. Prove it")
    python, *arguments = command.split()
    assert python == "python"
    tests = run(tmp_path, *arguments, *ALONE)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert " passed" in tests.stdout
    printed = run(tmp_path, "-c", snippet)
    assert printed.stdout == shown, printed.stderr


def test_who_forgets_the_samples_is_told(tmp_path: Path):
    follow(tmp_path)
    (tmp_path / "tests/codecs/samples/acme_bay_eye.toml").unlink()
    tests = run(tmp_path, "-m", "pytest", *ALONE, "tests/codecs/test_samples.py", "-k", "has_samples")
    assert tests.returncode == 1
    assert "acme_bay_eye" in tests.stdout
