"""The first page."""

import re

from http_rig import running_server


async def test_the_page_and_all_that_it_names_are_served():
    async with running_server() as rig:
        index = await rig.ask("GET", "/")
        assert index.headers["content-type"].startswith("text/html")
        named = set(re.findall(r'(?:src|href)="(page/[^"]+)"', index.body.decode()))
        assert named
        while named:
            path = named.pop()
            reply = await rig.ask("GET", f"/{path}")
            assert reply.status == 200, path
            if path.endswith(".js"):
                assert reply.headers["content-type"].startswith("text/javascript")
                named |= {f"page/{name}" for name in re.findall(r'from "\./([^"]+)"', reply.body.decode())}


async def test_nothing_foreign_may_run_or_load():
    async with running_server() as rig:
        policy = (await rig.ask("GET", "/")).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "*" not in policy
        assert (await rig.ask("GET", "/")).headers["x-content-type-options"] == "nosniff"


async def test_an_unchanged_file_is_304():
    async with running_server() as rig:
        tag = (await rig.ask("GET", "/")).headers["etag"]
        reply = await rig.ask("GET", "/", If_None_Match=tag)
        assert (reply.status, reply.body) == (304, b"")


async def test_other_files_are_not_served():
    async with running_server() as rig:
        for path in ("/page/", "/page/../app.py", "/page/%2e%2e/app.py", "/page/nope.js", "/index.html"):
            assert (await rig.ask("GET", path)).status == 404, path
