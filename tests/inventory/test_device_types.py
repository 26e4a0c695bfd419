from __future__ import annotations

import pytest

from baylight.codecs.catalogue import load_catalogue
from baylight.domain.ids import DevEui
from baylight.errors import InputError, NotFoundError
from baylight.inventory import device_types
from baylight.store.pool import Connection, Pool


async def test_sync_brings_every_shipped_type_and_a_second_one_changes_nothing(pool: Pool) -> None:
    async with pool.acquire() as connection:
        assert await device_types.sync(connection) == len(load_catalogue())
        assert await device_types.sync(connection) == 0
        assert {kind.code for kind in await device_types.list_device_types(connection)} == {
            k.code for k in load_catalogue()
        }


async def test_sync_restores_a_shipped_type_but_leaves_the_operators_own(db: Connection) -> None:
    await db.execute("UPDATE device_types SET model = 'old' WHERE code = 'browan_tbms100'")
    await db.execute("UPDATE device_types SET model = 'mine', shipped = false WHERE code = 'bosch_tps110'")
    assert await device_types.sync(db) == 1
    assert (await device_types.get_device_type(db, "browan_tbms100")).model == "TABS TBMS100"
    assert (await device_types.get_device_type(db, "bosch_tps110")).model == "mine"


async def test_sync_does_not_switch_a_type_on_again(db: Connection) -> None:
    await db.execute("UPDATE device_types SET enabled = false WHERE code = 'bosch_tps110'")
    await device_types.sync(db)
    assert not (await device_types.get_device_type(db, "bosch_tps110")).enabled


async def test_a14_the_prefix_decides_the_type_and_nothing_is_guessed_without(db: Connection) -> None:
    found = await device_types.type_for(db, "sensor", DevEui("58a0cb00000000a1"), None)
    assert found.code == "browan_tbms100"
    with pytest.raises(InputError, match="name the device type"):
        await device_types.type_for(db, "sensor", DevEui("0000000000000001"), None)


async def test_a_type_of_the_other_category_or_unknown_is_refused(db: Connection) -> None:
    with pytest.raises(InputError, match="is a display"):
        await device_types.type_for(db, "sensor", DevEui("0000000000000001"), "kuando_busylight")
    with pytest.raises(NotFoundError, match="no_such"):
        await device_types.type_for(db, "sensor", DevEui("0000000000000001"), "no_such")
