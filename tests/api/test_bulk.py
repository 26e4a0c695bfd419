from __future__ import annotations

import httpx

from tests.support.site import Site

HEAD = b"# baylight spaces v1\r\ncode,name,location,latitude,longitude,default_state,maintenance,metadata\r\n"


async def test_a_file_is_imported_and_exported(client: httpx.AsyncClient) -> None:
    text = HEAD + b"A-1,'-x,,,,FREE,no,\r\nA-2,A-2,,,,UNKNOWN,no,\r\n"
    dry = await client.post("/api/v1/import/spaces", params={"dry_run": True}, content=text)
    assert (dry.status_code, dry.json()["added"], dry.json()["applied"]) == (200, 2, False)
    done = await client.post("/api/v1/import/spaces", content=text)
    assert (done.status_code, done.json()["added"], done.json()["applied"]) == (200, 2, True)
    assert (await client.get("/api/v1/spaces/A-1")).json()["name"] == "-x"
    exported = await client.get("/api/v1/export/spaces")
    assert exported.headers["content-type"] == "text/csv; charset=utf-8"
    assert exported.headers["content-disposition"] == 'attachment; filename="spaces.csv"'
    assert exported.content == text


async def test_wrong_rows_and_a_wrong_file_are_problems(client: httpx.AsyncClient) -> None:
    wrong = await client.post("/api/v1/import/spaces", content=HEAD + b"A-1,,Nowhere,,,,,\r\n")
    assert (wrong.status_code, wrong.json()["type"]) == (422, "urn:baylight:problem:wrong_rows")
    assert wrong.headers["content-type"] == "application/problem+json"
    assert wrong.json()["report"]["first"] == [
        {
            "row": 3,
            "column": "location",
            "code": "unknown_location",
            "message": "there is no location 'Nowhere': import locations first",
        }
    ]
    no_file = await client.post("/api/v1/import/spaces", content=b"nonsense")
    assert (no_file.status_code, no_file.json()["type"]) == (422, "urn:baylight:problem:bad_header")
    assert (await client.post("/api/v1/import/nonsense", content=b"")).status_code == 422


async def test_a_file_may_be_larger_than_other_bodies(client: httpx.AsyncClient) -> None:
    rows = b"".join(b"A-%d,%s,,,,,,\r\n" % (n, b"x" * 90) for n in range(4000))
    done = await client.post("/api/v1/import/spaces", params={"dry_run": True}, content=HEAD + rows)
    assert (done.status_code, done.json()["added"]) == (200, 4000)


async def test_e7_an_export_may_begin_with_a_byte_order_mark(client: httpx.AsyncClient) -> None:
    plain = await client.get("/api/v1/export/spaces")
    marked = await client.get("/api/v1/export/spaces", params={"bom": True})
    assert marked.content == b"\xef\xbb\xbf" + plain.content
    assert (await client.post("/api/v1/import/spaces", content=marked.content)).status_code == 200


async def test_import_needs_a_key_that_may_write(site: Site) -> None:
    async with site.client(await site.key("read")) as reader:
        assert (await reader.post("/api/v1/import/spaces", content=HEAD)).status_code == 403
        assert (await reader.get("/api/v1/export/spaces")).content == HEAD
    async with site.client() as anyone:
        assert (await anyone.get("/api/v1/export/spaces")).status_code == 401
