import pickle
from datetime import UTC, datetime, timedelta, timezone
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baylight.domain.ids import parse_dev_eui, time_of, uuid7, uuid_of
from baylight.errors import InputError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
instants = st.integers(0, 250_000_000_000_000_000).map(lambda us: EPOCH + timedelta(microseconds=us))


@pytest.mark.parametrize(
    "text",
    [
        "58a0cb00000000a1",
        "58A0CB00000000A1",
        "58-A0-CB-00-00-00-00-A1",
        "58:a0:cb:00:00:00:00:a1",
        "58a0.cb00.0000.00a1",
        "58 a0 cb 00 00 00 00 a1",
        " 58a0cb00000000a1\n",
    ],
)
def test_a5_every_common_notation_is_one_dev_eui(text: str):
    assert parse_dev_eui(text) == "58a0cb00000000a1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "58a0cb00000000",
        "58a0cb00000000a1ff",
        "58a0cb00000000g1",
        "0x58a0cb00000000",
        "0x58a0cb00000000a1",
        "58a0cb00000000a1;",
        "٥٨a0cb00000000a1",  # digits, but not hex digits
        "５８a0cb00000000a1",
        "f1c0ae0e-b4a2-4547-b360-7cfa15e85734",
        "x" * 1000,
    ],
)
def test_a5_what_is_no_dev_eui_is_refused(text: str):
    with pytest.raises(InputError) as caught:
        parse_dev_eui(text)
    assert caught.value.code == "bad_dev_eui"
    assert len(caught.value.message) < 120


@given(st.text(max_size=30))
def test_any_text_is_a_canonical_dev_eui_or_refused(text: str):
    try:
        dev_eui = parse_dev_eui(text)
    except InputError:
        return
    assert parse_dev_eui(dev_eui) == dev_eui == dev_eui.lower()
    assert len(bytes.fromhex(dev_eui)) == 8


@given(instants, st.integers(1, 10**15))
def test_ids_of_later_microseconds_are_greater(at: datetime, microseconds: int):
    later = at + timedelta(microseconds=microseconds)
    assert uuid7(at) < uuid7(later)
    assert str(uuid7(at)) < str(uuid7(later))


@given(instants)
def test_an_id_carries_its_version_its_variant_and_its_millisecond(at: datetime):
    made = uuid7(at)
    assert made.version == 7
    assert made.variant == RFC_4122
    assert made.int >> 80 == (at - EPOCH) // timedelta(milliseconds=1)


def test_ids_of_one_microsecond_differ():
    at = datetime(2026, 3, 2, tzinfo=UTC)
    assert len({uuid7(at) for _ in range(1000)}) == 1000


def test_an_instant_is_the_same_in_every_time_zone():
    at = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
    elsewhere = at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert uuid7(at).int >> 64 == uuid7(elsewhere).int >> 64


@given(st.uuids(allow_nil=True))
def test_a_uuid_made_of_its_number_is_one_like_any_other(same: UUID):
    made = uuid_of(same.int)
    assert (made, hash(made), str(made), made.bytes, made.is_safe) == (
        same, hash(same), str(same), same.bytes, same.is_safe,
    )  # fmt: skip
    assert pickle.loads(pickle.dumps(made)) == same


@given(instants)
def test_the_time_of_an_id_is_the_one_that_it_was_made_for(at: datetime):
    assert time_of(uuid7(at)) == at
