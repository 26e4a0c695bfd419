"""Messages that are refused, as a condition with cause and remedy."""

from __future__ import annotations

from baylight.app.refusals import WINDOW_S, Refusals
from baylight.domain.conditions import ConditionKind
from baylight.domain.events import Ignored, Message, Rejected
from tests.support.mqtt import Noted

KIND = ConditionKind.MESSAGES_REFUSED
GOOD = Ignored("location")


def bad(reason: str) -> Message:
    return Rejected("t", b"", reason, "")


class Case:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.noted = Noted()
        self.refusals = Refusals(self.noted, lambda: self.now_s)

    @property
    def evidence(self) -> str | None:
        self.refusals.judge()
        return self.noted.open.get(KIND)


def test_i8_refused_messages_are_a_condition_with_cause_and_remedy() -> None:
    case = Case()
    case.refusals.note([bad("bad_json")] * 3)
    assert case.evidence is not None
    assert case.evidence.startswith("3 of 3 messages of the last 15 minutes were refused: 3 bad_json: ")
    assert "json=true" in case.evidence


def test_i8_single_bad_messages_among_good_ones_are_no_condition() -> None:
    case = Case()
    case.refusals.note([GOOD] * 99 + [bad("bad_event")])
    assert case.evidence is None
    case.refusals.note([bad("bad_event")] * 10)
    assert case.evidence is not None


def test_i8_the_condition_ends_when_no_message_is_refused_any_more() -> None:
    case = Case()
    case.refusals.note([bad("bad_json")] * 3)
    case.now_s = WINDOW_S / 2
    case.refusals.note([GOOD] * 3)
    assert case.evidence is not None
    case.now_s = WINDOW_S + 61
    assert case.evidence is None
    case.now_s = 3 * WINDOW_S
    assert case.evidence is None


def test_i8_a_wrong_secret_is_counted() -> None:
    case = Case()
    case.refusals.refused("secret_refused")
    assert case.evidence is not None
    assert "X-Baylight-Secret" in case.evidence


def test_b3_other_applications_are_a_fault_only_if_nothing_else_comes() -> None:
    case = Case()
    case.refusals.note([Ignored("other_application")] * 3)
    assert case.evidence is not None
    assert "BAYLIGHT_CHIRPSTACK_APPLICATIONS" in case.evidence
    case.refusals.note([GOOD])
    assert case.evidence is None


def test_b3_a_mismatch_of_applications_is_a_fault_also_among_good_messages() -> None:
    case = Case()
    case.refusals.note([GOOD] * 9 + [bad("application_mismatch")])
    assert case.evidence is not None
    assert "limit the right to write" in case.evidence
