"""The commands that serve: what they say, and that it is so."""

import json
import re
import urllib.request

from sdks import openai

from tokentape.cli.lists import size, when


def test_serve_says_where_and_that_it_is_open(spawn, tmp_path):
    server = spawn("serve", "--port", "0", "--store", f"sqlite:///{tmp_path}/tape.db", "--durability", "full")
    said = server.line().decode()
    url = re.fullmatch(r"tokentape \S+ on (http://127\.0\.0\.1:\d+)\n", said)[1]
    with urllib.request.urlopen(f"{url}/healthz") as answer:
        assert json.load(answer)["status"] == "ok"
    server.interrupt()
    code, _, err = server.end()
    assert code == 0
    assert err.startswith("open: loopback without keys\n") or "\nopen: loopback without keys\n" in err


def test_a_port_that_is_taken_is_one_line(spawn, url):
    code, out, err = spawn("serve", "--port", url.rpartition(":")[2], "--store", "memory://").end()
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: Cannot listen on 127.0.0.1:")


def test_simulate_is_what_the_openai_sdk_speaks_to(spawn):
    simulator = spawn("simulate", "--port", "0", "--rate", "0", "--tokens", "30", "--seed", "3", "--json")
    said = json.loads(simulator.line())
    with openai.OpenAI(base_url=said["openai_base_url"], api_key="any") as client:
        prompt = [{"role": "user", "content": "Hello"}]
        answer = client.chat.completions.create(model="any", messages=prompt)
    assert answer.usage.completion_tokens == 30
    assert said["anthropic_base_url"] == said["url"]
    simulator.interrupt()
    assert simulator.end() == (0, "", "")


def test_simulate_refuses_a_fault_that_is_none(spawn):
    code, out, err = spawn("simulate", "--port", "0", "--fault", "explode").end()
    assert (code, out) == (2, "")
    assert "'explode' is not a fault" in err
    assert err.count("\n") == 1


def test_moments_and_sizes():
    assert when(0) == "-"
    assert re.fullmatch(r"2026-\d\d-\d\d \d\d:\d\d:\d\d", when(1_795_251_794_334))
    assert [size(count) for count in (0, 1023, 1024, 1536, 5_242_880)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 KiB",
        "5.0 MiB",
    ]
