"""Every query of the migration against the schemas of the stage that runs it."""

from __future__ import annotations

from tests.support.queries import in_files, statements, wrong_columns
from tests.support.v2 import V2Database


async def test_each_query_has_the_columns_of_its_row_type(v2: V2Database) -> None:
    found = [statement for name, statement in statements().items() if name.startswith("v2.")]
    back = [statement for statement in found if statement.name.startswith("v2.back.")]
    await v2.apply("expand")
    wrong = await wrong_columns(v2.baylight, [statement for statement in found if statement not in back])
    await v2.apply("contract")
    wrong += await wrong_columns(v2.baylight, back)
    assert not wrong, "\n".join(wrong)


def test_each_query_of_the_files_is_a_constant() -> None:
    files = {name for name in in_files() if name.startswith("v2.")}
    assert files == {name for name in statements() if name.startswith("v2.")}
