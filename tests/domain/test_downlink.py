from baylight.domain.downlink import OUTSTANDING, TRANSITIONS, ActuationStatus

S = ActuationStatus
TERMINAL = {S.SHOWN, S.FAILED, S.EXPIRED, S.SUPERSEDED}


def reachable(start: ActuationStatus) -> set[ActuationStatus]:
    found, ahead = set(), [start]
    while ahead:
        status = ahead.pop()
        if status not in found:
            found.add(status)
            ahead += TRANSITIONS[status]
    return found


def test_the_table_has_every_status():
    assert set(TRANSITIONS) == set(S)


def test_every_status_is_reached_from_pending():
    assert reachable(S.PENDING) == set(S)


def test_nothing_follows_an_end():
    assert {status for status, onward in TRANSITIONS.items() if not onward} == TERMINAL


def test_every_actuation_can_end():
    for status in S:
        assert reachable(status) & TERMINAL


def test_b10_whatever_has_not_ended_can_be_superseded_by_a_newer_one():
    for status in set(S) - TERMINAL:
        assert S.SUPERSEDED in TRANSITIONS[status]


def test_no_status_follows_itself():
    for status, onward in TRANSITIONS.items():
        assert status not in onward


def test_b3_a_weaker_proof_never_follows_a_stronger_one():
    proofs = [S.QUEUED, S.TRANSMITTED, S.ACKNOWLEDGED, S.SHOWN]
    for rank, stronger in enumerate(proofs):
        assert not TRANSITIONS[stronger] & set(proofs[:rank])


def test_only_what_is_with_the_network_server_is_outstanding():
    assert frozenset({S.SENDING, S.QUEUED}) == OUTSTANDING
    assert not OUTSTANDING & TERMINAL
    # a proof can overtake the answer of the call that queued the command
    assert {S.TRANSMITTED, S.ACKNOWLEDGED, S.SHOWN} <= TRANSITIONS[S.SENDING] & TRANSITIONS[S.QUEUED]


def test_b10_a_command_goes_back_to_pending_only_before_it_was_queued():
    assert {status for status, onward in TRANSITIONS.items() if S.PENDING in onward} == {S.SENDING}
