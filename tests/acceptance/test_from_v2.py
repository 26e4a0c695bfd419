"""`baylight demo --from-v2`: a V2 database at work goes through the whole migration, as its tutorial shows it."""

from __future__ import annotations

import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process, create_subprocess_exec
from pathlib import Path

import pytest

TUTORIAL = (Path(__file__).parents[2] / "docs" / "tutorial" / "from-v2-in-ten-minutes.md").read_text(encoding="utf-8")
INTERRUPTED = 130


async def demo(folder: Path, *options: str) -> Process:
    return await create_subprocess_exec(
        sys.executable, "-m", "baylight", "demo", "--from-v2", "--data-dir", folder / "data", "--bays", "8", *options,
        stdin=PIPE, stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip


def shape(text: str) -> set[str]:
    """Return the lines without their numbers, keys and blanks."""
    text = re.sub(r"#key=\S+|postgresql://[^']+", "", text)
    return {" ".join(re.sub(r"[\d.,]+", "0", line).split()) for line in text.splitlines() if line.strip()}


@pytest.mark.slow
async def test_no_statement_of_v2_fails_no_row_differs_and_every_light_is_right(tmp_path: Path) -> None:
    running = await demo(tmp_path, "--for", "4s", "--step")
    printed, _ = await running.communicate(b"\n")  # then the end of the input lets each stage go on
    output = printed.decode()
    assert running.returncode == 0, output
    columns = re.findall(r"^  (\S.*?)  +(\S.*?)  +(\S.*)$", output, re.MULTILINE)
    figures = {name: (before, during) for name, before, during in columns}
    before, during = (int(number.replace(",", "")) for number in figures["statements of V2"])
    assert before > 50
    assert during > 200
    assert figures["errors of them"] == ("0", "0")
    assert figures["lights right"] == ("8 of 8", "8 of 8")
    compared = re.search(r"^  rows compared +([\d,]+) with ([\d,]+)$", output, re.MULTILINE)
    assert compared is not None
    assert compared[1] == compared[2] != "0"
    assert re.search(r"^  differences +0$", output, re.MULTILINE)
    blocks = "".join(re.findall(r"^```text\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL))
    assert shape(blocks) <= shape(output)
    assert os.listdir(tmp_path) == [], "its data is deleted"


async def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    running = await demo(tmp_path, "--step")
    assert running.stdout is not None
    while b"Enter goes on" not in await running.stdout.readline():
        assert not running.stdout.at_eof()
    running.send_signal(signal.SIGINT)
    printed, _ = await running.communicate()
    assert running.returncode == INTERRUPTED, printed
    assert b"Traceback" not in printed
    assert os.listdir(tmp_path) == []
