"""The closed loop against the model: no state is reachable in which a wrong light is not noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from baylight.domain.display_loop import news, uplinks
from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.display_loop.lamp import Possible
from tests.domain.display_loop.model import Budget, explore

POLICY = LoopPolicy(quick_tries=2)
TROUBLES = {
    "a11": Budget(decisions=2, downlinks_lost=1, reports_lost=1),
    "i2": Budget(refused_joins=1, decisions=1),
    "i19": Budget(foreign=1, decisions=1, reports_lost=1),
    "i21": Budget(decisions=2, acks_lost=4),
    "i25": Budget(decisions=2, counters_reused=1),
    "joins": Budget(decisions=1, joins=1, reports_lost=1),
}


@pytest.mark.parametrize("troubles", TROUBLES)
def test_each_wrong_light_is_noticed_and_something_is_due(troubles: str) -> None:
    assert explore(TROUBLES[troubles], POLICY) is None


def test_the_model_finds_a11_and_i19_where_only_the_report_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Possible, "disproves", lambda *_: False)
    for troubles in ("a11", "i19"):
        found = explore(TROUBLES[troubles], POLICY)
        assert found is not None, troubles
        assert found[0].startswith("in sync, but the lamp shows"), found


def test_the_model_finds_i2_where_a_refused_join_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplinks, "refused_uplink", lambda *_: None)
    found = explore(TROUBLES["i2"], POLICY)
    assert found is not None
    assert found[0].startswith("in sync, but the lamp shows")


def test_the_model_finds_i21_where_a_command_lives_for_a_minute() -> None:
    found = explore(Budget(decisions=1, acks_lost=7), replace(POLICY, min_ttl=POLICY.ttl))
    assert found is not None
    assert found[0] == "one command is sent again and again"


def test_the_model_finds_i25_where_the_counter_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "_count", lambda *_: False)
    found = explore(TROUBLES["i25"], POLICY)
    assert found is not None
    assert found[0] == "waits for the report of a frame whose counter was used twice"
