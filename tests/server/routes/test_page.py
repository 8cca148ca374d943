"""The pages, as they were built: `make web` has to come first, which `make test` sees to."""

import re

import pytest
from http_rig import running_server

PAGES = ("/", "/console")


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_and_all_that_it_names_are_served(page: str):
    async with running_server() as rig:
        index = await rig.ask("GET", page)
        assert index.headers["content-type"].startswith("text/html")
        named = set(re.findall(r'(?:src|href)="\./([^"]+)"', index.body.decode()))
        assert any(name.endswith(".js") for name in named), "the pages are not built: run `make web`"
        seen = set()
        while todo := named - seen:
            seen |= todo
            for name in todo:
                reply = await rig.ask("GET", f"/{name}")
                assert reply.status == 200, name
                if name.endswith(".js"):
                    assert reply.headers["content-type"].startswith("text/javascript")
                    # What has a hash in its name never changes.
                    assert "immutable" in reply.headers["cache-control"]
                    named |= {f"assets/{found}" for found in re.findall(r'"\./([\w-]+\.js)"', reply.body.decode())}


async def test_nothing_foreign_may_run_or_load():
    async with running_server() as rig:
        for page in PAGES:
            headers = (await rig.ask("GET", page)).headers
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'")
            assert "unsafe" not in policy
            assert "*" not in policy
            assert "require-trusted-types-for 'script'; trusted-types highlighter" in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-cache"


async def test_an_unchanged_file_is_304():
    async with running_server() as rig:
        tag = (await rig.ask("GET", "/")).headers["etag"]
        reply = await rig.ask("GET", "/", If_None_Match=tag)
        assert (reply.status, reply.body) == (304, b"")


async def test_a_large_file_is_compressed_for_whom_it_helps():
    async with running_server() as rig:
        script = re.findall(r'src="\./([^"]+)"', (await rig.ask("GET", "/")).body.decode())[0]
        plain = await rig.ask("GET", f"/{script}")
        packed = await rig.ask("GET", f"/{script}", Accept_Encoding="gzip")
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.body == plain.body
        assert int(packed.headers["content-length"]) < len(plain.body) / 2


async def test_other_files_are_not_served():
    async with running_server() as rig:
        for path in ("/assets/", "/assets/../../app.py", "/assets/%2e%2e/app.py", "/nope.js", "/index.html"):
            assert (await rig.ask("GET", path)).status == 404, path
