"""Parts of `baylight demo --from-v2` that need neither server nor time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from baylight.lab.from_v2.course import Outcome, enter
from baylight.lab.from_v2.legacy import Figures
from baylight.v2.stages.verify import Difference, Verdict


def outcome() -> Outcome:
    return Outcome(60, Figures(1200, 0.0094), Figures(3400, 0.031), lights=[("before", 60), ("after", 60)])


def test_the_table_has_v2s_statements_lights_and_rows() -> None:
    found = outcome()
    found.note(Verdict([], {"spaces": (63, 63), "reservations": (1200, 1200)}, 0))
    assert found.wrong() == []
    assert found.table() == [
        "                      before      during the migration",
        "  statements of V2    1,200       3,400",
        "  errors of them      0           0",
        "  longest wait of V2  9 ms        31 ms",
        "  lights right        60 of 60    60 of 60",
        "  rows compared                   1,263 with 1,263",
        "  differences                     0",
    ]


def test_an_error_a_difference_and_a_wrong_light_each_are_a_failure() -> None:
    found = outcome()
    found.during.errors.append("UndefinedTableError")
    found.lights.append(("after the switch", 59))
    found.note(Verdict([Difference("spaces_lost", "A001", "")], {"spaces": (63, 62)}, 0))
    found.note(Verdict([], {"spaces": (63, 63)}, 0))
    assert found.wrong() == ["UndefinedTableError", "spaces_lost A001 ", "59 of 60 lights were right after the switch"]
    assert "  lights right        60 of 60    59 of 60" in found.table()


async def test_a_stage_waits_for_a_line_or_the_end_of_the_input() -> None:
    read, write = os.pipe()
    waiting = asyncio.create_task(enter(read))
    await asyncio.sleep(0)
    assert not waiting.done()
    os.write(write, b"\n")
    await waiting
    os.close(write)
    await enter(read)
    os.close(read)


async def test_an_input_that_cannot_be_waited_for_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "input").touch()
    with (tmp_path / "input").open() as file:
        await enter(file.fileno())
