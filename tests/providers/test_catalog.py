import msgspec
import pytest
from upstreams import KEY, NO_LIMIT, asking, played, said

from tokentape.core.errors import BadRequest, ModelNotFound, SetupError
from tokentape.providers.anthropic import AnthropicProvider
from tokentape.providers.base import Generation, Timeouts
from tokentape.providers.catalog import Catalog, configured, discover
from tokentape.providers.openai import OpenAIProvider
from tokentape.providers.simulated import SimulatedProvider

ENV = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "OLLAMA_HOST": "127.0.0.1"}
TABLES = {
    "providers": {"shut": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "open": False}},
    "models": {
        "fast": {
            "provider": "simulated",
            "simulated": {"rate": 0, "tokens": 5},
            "parameters": {"max_tokens": 4},
            "timeouts": {"total": 7},
            "retries": 5,
            "fallback": ["gpt-x", "simulated"],
        },
        "own": {"provider": "shut", "model": "theirs"},
        "gpt-x": {"provider": "simulated", "simulated": {"text": "not OpenAI"}},
    },
}


@pytest.fixture
async def catalog():
    catalog = Catalog(configured(TABLES, ENV))
    yield catalog
    await catalog.aclose()


def test_without_anything_there_is_the_simulated_model():
    catalog = Catalog(discover({}))
    (model,) = catalog.resolve("")
    assert (model.name, model.model, model.retries) == ("simulated", "simulated", 2)
    assert isinstance(model.provider, SimulatedProvider)
    assert model.timeouts == Timeouts()
    assert [info.name for info in catalog.models()] == ["simulated"]


@pytest.mark.parametrize(
    ("name", "kind", "provider", "model"),
    [
        ("gpt-4o-mini", OpenAIProvider, "openai", "gpt-4o-mini"),
        ("chatgpt-4o-latest", OpenAIProvider, "openai", "chatgpt-4o-latest"),
        ("o3", OpenAIProvider, "openai", "o3"),
        ("o4-mini", OpenAIProvider, "openai", "o4-mini"),
        ("openai:whatever", OpenAIProvider, "openai", "whatever"),
        ("claude-opus-4-8", AnthropicProvider, "anthropic", "claude-opus-4-8"),
        ("anthropic:x", AnthropicProvider, "anthropic", "x"),
        ("ollama:llama3.2:3b", OpenAIProvider, "ollama", "llama3.2:3b"),
        ("own", OpenAIProvider, "shut", "theirs"),
        ("simulated", SimulatedProvider, "simulated", "simulated"),
    ],
)
async def test_names_find_their_provider(catalog, name, kind, provider, model):
    (found,) = catalog.resolve(name)
    assert isinstance(found.provider, kind)
    assert (found.name, found.provider.name, found.model) == (name, provider, model)


@pytest.mark.parametrize(
    "name",
    ["nope", "openai:", "nope:x", "shut:x", "simulated:x", "https://evil/v1", "gpt-\r\nX: y", "openai:" + "x" * 300],
)
async def test_other_names_are_not_found_and_those_that_are_get_told(catalog, name):
    with pytest.raises(ModelNotFound) as caught:
        catalog.resolve(name)
    assert "fast, anthropic:*, gpt-x, ollama:*, openai:*, own, simulated" in caught.value.message
    assert "shut:*" not in caught.value.message
    assert len(caught.value.message) < 300
    assert KEY not in caught.value.message


@pytest.mark.parametrize("name", ["gpt-4o", "claude-x", "ollama:x"])
def test_without_its_provider_a_name_is_not_found(name):
    with pytest.raises(ModelNotFound):
        Catalog(discover({})).resolve(name)


async def test_a_model_brings_its_fallbacks_and_its_limits(catalog):
    models = catalog.resolve("")
    assert [model.name for model in models] == ["fast", "gpt-x", "simulated"]
    assert (models[0].retries, models[0].timeouts.total) == (5, 7)


async def test_a_table_goes_before_a_name_that_speaks_for_itself(catalog):
    parts, _ = await played(catalog.resolve("gpt-x")[0].provider, asking(rate=0))
    assert said(parts) == "not OpenAI"


async def test_a_models_defaults_count_where_the_request_says_nothing(catalog):
    (fast, *_) = catalog.resolve("fast")
    parts, _ = await played(fast.provider, asking())
    assert (len(parts), parts[-1].data) == (6, {"reason": "length"})
    parts, _ = await played(fast.provider, asking(tokens=3))
    assert len(parts) == 5
    parts, _ = await played(fast.provider, Generation(model="m", messages=[], parameters={"max_tokens": 2}))
    assert len(parts) == 4


async def test_a_model_with_defaults_checks_what_its_provider_checks(catalog):
    fast = catalog.resolve("fast")[0].provider
    fast.check(asking(tokens=3))
    with pytest.raises(BadRequest, match="options are"):
        fast.check(asking(speed=3))
    preset = Catalog(configured({"models": {"warm": {"provider": "ollama", "parameters": {"temperature": 1}}}}, ENV))
    preset.resolve("warm")[0].provider.check(asking(speed=3))  # whose `simulated` is nobody's business


async def test_providers_are_shared_by_address_and_key(catalog):
    assert catalog.resolve("gpt-4o")[0].provider is catalog.resolve("openai:o3")[0].provider
    assert catalog.resolve("gpt-4o")[0].provider is not catalog.resolve("ollama:x")[0].provider
    assert catalog.resolve("simulated")[0].provider is catalog.resolve("fast")[2].provider


async def test_models_are_listed_without_secrets(catalog):
    listed = catalog.models()
    assert [(info.name, info.provider, info.model, info.default) for info in listed] == [
        ("fast", "simulated", "fast", True),
        ("anthropic:*", "anthropic", "*", False),
        ("gpt-x", "simulated", "gpt-x", False),
        ("ollama:*", "ollama", "*", False),
        ("openai:*", "openai", "*", False),
        ("own", "shut", "theirs", False),
        ("simulated", "simulated", "simulated", False),
    ]
    assert KEY not in msgspec.json.encode(listed).decode()


def test_an_open_model_can_be_the_default():
    catalog = Catalog(configured({"models": {"default": "gpt-4o"}}, ENV))
    assert catalog.models()[0].name == "gpt-4o"
    assert catalog.resolve("")[0].model == "gpt-4o"


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ({"default": "nope"}, "`models.default` names 'nope'"),
        ({"a": {"provider": "simulated", "fallback": ["nope"]}}, "`fallback` of [models.a] names 'nope'"),
    ],
)
def test_names_in_the_configuration_must_be_there(models, says):
    with pytest.raises(SetupError) as caught:
        Catalog(configured({"models": models}, {}))
    assert says in caught.value.message


async def test_closing_closes_the_providers_and_leaves_the_catalog_usable():
    catalog = Catalog(configured({}, {"OLLAMA_HOST": "127.0.0.1:9"}))
    provider = catalog.resolve("ollama:x")[0].provider
    _, error = await played(provider, asking(), NO_LIMIT)
    assert error.subcode == "provider_unreachable"
    assert provider._upstream._session is not None
    await catalog.aclose()
    assert provider._upstream._session is None
    assert catalog.resolve("ollama:x")[0].provider is not provider
