import pytest

from tokentape.core.errors import BadRequest
from tokentape.providers.simulation import FAULTS, Fault, Options, parse_fault


def test_options_as_json_and_as_text_are_the_same():
    given = {"rate": 20, "tokens": 300, "seed": 7, "fault": "stall@20:5s", "reasoning": 3, "tool": "f", "text": "Hi"}
    text = "rate=20, tokens=300,seed=7,fault=stall@20:5s,reasoning=3,tool=f,text=Hi,"
    options = Options.read(given)
    assert Options.read(Options.pairs(text)) == options
    assert (options.rate, options.tokens, options.tool) == (20.0, 300, "f")
    assert Options.read({"tool": True}).tool is True
    assert Options.read({}) == Options()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"speed": 1}, "rate, tokens, seed, fault, reasoning, tool, text"),
        ({"rate": -1}, "rate"),
        ({"rate": "fast"}, "rate"),
        ({"rate": 1e9}, "rate"),
        ({"tokens": -1}, "tokens"),
        ({"tokens": 10**12}, "tokens"),
        ({"tokens": 1.5}, "tokens"),
        ({"reasoning": -1}, "reasoning"),
        ({"fault": "explode"}, "stall@N:5s"),
        ({"fault": "+".join(["crlf"] * 17)}, "16 is the most"),
        ({"text": 7}, "text"),
    ],
)
def test_wrong_options_are_refused_with_those_that_there_are(given, says):
    with pytest.raises(BadRequest) as caught:
        Options.read(given)
    assert says in caught.value.message


def test_text_without_a_value_is_refused():
    with pytest.raises(BadRequest, match="name=value"):
        Options.pairs("rate")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stall@20:5s", Fault("stall", 20, 5)),
        ("stall@0:500ms", Fault("stall", 0, 0.5)),
        ("slow-start:2", Fault("slow-start", 0, 2)),
        ("error@3", Fault("error", 3)),
        ("cut@0", Fault("cut", 0)),
        ("status:429", Fault("status", status=429)),
        ("status:429:2s", Fault("status", seconds=2, status=429)),
        ("status:500x2", Fault("status", status=500, times=2)),
        ("status:503x2:1.5", Fault("status", seconds=1.5, status=503, times=2)),
        ("long-line", Fault("long-line", 0, megabytes=100)),
        ("long-line@4:5", Fault("long-line", 4, megabytes=5)),
        *((name, Fault(name)) for name in ("split-utf8", "gzip-bomb", "line-ends", "crlf", "no-done")),
        *((name, Fault(name)) for name in ("empty-choices", "null-content")),
    ],
)
def test_faults(text, fault):
    assert parse_fault(text) == fault


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_described_by_an_example_that_works(name):
    example = FAULTS[name].split(" ", 1)[0].replace("@N", "@3")
    assert parse_fault(example).name == name


@pytest.mark.parametrize(
    "text",
    [
        *("", "stall", "stall@5", "stall:5s", "stall@x:5s", "stall@5:soon", "slow-start", "slow-start@2:5s", "error"),
        *("error@3:5s", "cut", "status", "status:200", "status:1000", "status:abc", "status:429x", "status@3:429"),
        *("long-line:0", "long-line:5000", "long-line:x", "crlf@3", "crlf:x", "STALL@1:1s", "stall@1:1s@2"),
    ],
)
def test_what_is_no_fault_is_refused_with_how_it_is_written(text):
    with pytest.raises(BadRequest, match="is not a fault"):
        parse_fault(text)


def test_several_faults_come_in_the_order_of_their_tokens():
    faults = Options(fault="cut@40 + stall@20:5s+crlf").faults()
    assert [fault.name for fault in faults] == ["crlf", "stall", "cut"]
    assert Options().faults() == ()
