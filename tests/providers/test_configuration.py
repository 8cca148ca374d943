import tomllib

import pytest
from upstreams import KEY

from tokentape.core.errors import SetupError
from tokentape.providers.base import Timeouts
from tokentape.providers.catalog import Catalog
from tokentape.providers.configuration import CatalogConfig, ModelConfig, ProviderConfig, configured, discover
from tokentape.providers.secret import Secret

GROQ = """
[providers.groq]
kind = "openai"
base_url = "https://api.groq.com/openai/v1"
api_key_env = "GROQ_API_KEY"
headers = {X-Team = "blue"}

[models]
default = "fast"

[models.fast]
provider = "groq"
model = "llama-3.3"
fallback = ["simulated"]
retries = 4
timeouts = {first_token = "20s", between_tokens = 5}
parameters = {temperature = 0.2}
"""


def read(toml: str = "", **env: str) -> CatalogConfig:
    return configured(tomllib.loads(toml), env)


def problem(toml: str = "", **env: str) -> str:
    with pytest.raises(SetupError) as caught:
        read(toml, **env)
    return caught.value.message


# The environment


def test_without_anything_there_is_the_simulated_model():
    config = discover({})
    assert list(config.providers) == list(config.models) == ["simulated"]
    assert config.default == "simulated"
    assert config == CatalogConfig() == configured({}, {})


def test_keys_in_the_environment_make_providers():
    config = discover({"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": f" {KEY}\n", "UNRELATED_API_KEY": "x"})
    assert config.providers["openai"] == ProviderConfig(
        name="openai", kind="openai", base_url="https://api.openai.com/v1", api_key=Secret(KEY)
    )
    assert config.providers["anthropic"] == ProviderConfig(
        name="anthropic", kind="anthropic", base_url="https://api.anthropic.com", api_key=Secret(KEY)
    )
    assert config.default == "simulated"


def test_a_base_url_goes_with_its_key():
    config = discover({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "ANTHROPIC_BASE_URL": "x"})
    assert config.providers["openai"].base_url == "http://127.0.0.1:9/v1"
    assert "anthropic" not in config.providers


def test_an_empty_key_is_none():
    assert list(discover({"OPENAI_API_KEY": " ", "OLLAMA_HOST": ""}).providers) == ["simulated"]


@pytest.mark.parametrize(
    ("host", "base_url"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434/v1"),
        ("box:1234", "http://box:1234/v1"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234/v1"),
        ("http://box", "http://box:11434/v1"),
        ("https://box/ollama/", "https://box:443/ollama/v1"),
        ("[::1]:5", "http://[::1]:5/v1"),
    ],
)
def test_ollama_is_found_where_its_variable_says(host, base_url):
    assert discover({"OLLAMA_HOST": host}).providers["ollama"] == ProviderConfig(
        name="ollama", kind="openai", base_url=base_url
    )


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"OPENAI_API_KEY": f"{KEY}\n{KEY}"}, "OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "api.openai.com"}, "OPENAI_BASE_URL"),
        ({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"http://user:{KEY}@host/v1"}, "OPENAI_BASE_URL"),
        ({"OLLAMA_HOST": "box:port"}, "OLLAMA_HOST"),
        ({"OLLAMA_HOST": "ftp://box"}, "OLLAMA_HOST"),
    ],
)
def test_what_cannot_be_used_is_named_and_not_shown(env, says):
    with pytest.raises(SetupError) as caught:
        discover(env)
    assert says in caught.value.message
    assert KEY not in caught.value.message


# The tables


def test_a_model_of_a_provider():
    config = read(GROQ, GROQ_API_KEY=KEY)
    provider = ProviderConfig(
        name="groq",
        kind="openai",
        base_url="https://api.groq.com/openai/v1",
        api_key=Secret(KEY),
        headers=(("X-Team", Secret("blue")),),
    )
    assert config.providers["groq"] == provider
    assert config.models["fast"] == ModelConfig(
        name="fast",
        provider=provider,
        model="llama-3.3",
        timeouts=Timeouts(first_token=20, between_tokens=5),
        retries=4,
        fallback=("simulated",),
        parameters={"temperature": 0.2},
    )
    assert config.default == "fast"


def test_nothing_that_is_shown_of_it_holds_a_key():
    assert KEY not in repr(read(GROQ, GROQ_API_KEY=KEY))


def test_the_first_model_is_the_default_and_its_name_the_providers():
    config = read('[models.gpt-x]\nprovider = "openai"\n[models.b]\nprovider = "simulated"', OPENAI_API_KEY=KEY)
    assert config.default == "gpt-x"
    assert config.models["gpt-x"].model == "gpt-x"
    assert config.models["gpt-x"].provider.api_key == Secret(KEY)


def test_a_model_may_have_an_address_of_its_own():
    config = read(
        """
        [models.local]
        provider = "openai"
        base_url = "http://127.0.0.1:8001/v1"
        proxy = "http://127.0.0.1:3128"
        """,
        OPENAI_API_KEY=KEY,
    )
    provider = config.models["local"].provider
    assert (provider.base_url, provider.proxy) == ("http://127.0.0.1:8001/v1", "http://127.0.0.1:3128")
    assert provider.api_key is None, "a key is not sent to another address than its own"


def test_a_provider_of_the_environment_can_be_changed():
    config = read("[providers.openai]\nopen = false", OPENAI_API_KEY=KEY)
    assert config.providers["openai"].open is False
    assert config.providers["openai"].api_key == Secret(KEY)


def test_a_key_may_stand_in_the_table():
    config = read(f'[models.a]\nprovider = "anthropic"\napi_key = "{KEY}"')
    assert config.models["a"].provider.api_key == Secret(KEY)


def test_the_simulated_model_can_be_tuned():
    config = read('[models.slow]\nprovider = "simulated"\nsimulated = {rate = 5}')
    assert config.models["slow"].simulated == {"rate": 5}
    assert config.models["slow"].provider == config.providers["simulated"]


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("models = 1", "`models` in tokentape.toml is a table"),
        ("[models]\nx = 1", "`models.x` in tokentape.toml is a table"),
        ("[models]\ndefault = 1", "`models.default`"),
        ('[models."a b"]\nprovider = "simulated"', "not a name"),
        ("[models.x]", "`provider`"),
        ('[models.x]\nprovider = "nope"', "no provider 'nope'. Known: anthropic, openai, simulated"),
        ('[models.x]\nprovider = "simulated"\nspeed = 1', "`speed`"),
        ('[models.x]\nprovider = "simulated"\nspeed = 1', "fallback"),
        ('[models.x]\nprovider = "simulated"\nretries = -1', "`retries` is 0 or more"),
        ('[models.x]\nprovider = "simulated"\nretries = "many"', "int"),
        ('[models.x]\nprovider = "simulated"\ntimeouts = {token = 1}', "'token'. They are: connect, first_token"),
        ('[models.x]\nprovider = "simulated"\ntimeouts = {total = "long"}', "duration"),
        ('[models.x]\nprovider = "simulated"\nsimulated = {speed = 1}', "options are"),
        ('[models.x]\nprovider = "simulated"\napi_key = "x"', "no address and no key"),
        ('[models.x]\nprovider = "openai"', "OPENAI_API_KEY"),
        ('[models.x]\nprovider = "openai"\napi_key_env = "MY_KEY"', "'MY_KEY', which is not set"),
        (f'[models.x]\nprovider = "openai"\napi_key = "{KEY}é"', "printable ASCII"),
        ('[models.x]\nprovider = "openai"\nbase_url = "host"', "`base_url` of [models.x] is not a URL"),
        (f'[models.x]\nprovider = "openai"\nbase_url = "http://u:{KEY}@h"', "belongs in `api_key`"),
        (f'[models.x]\nprovider = "openai"\napi_key = "{KEY}"\nproxy = "h:1"', "`proxy` of [models.x]"),
        (f'[models.x]\nprovider = "openai"\napi_key = "{KEY}"\nheaders = {{"a b" = "c"}}', "not the name of a header"),
        (f'[models.x]\nprovider = "openai"\napi_key = "{KEY}"\nheaders = {{a = "c\\nd"}}', "'a' in `headers`"),
        (f'[models.x]\nprovider = "openai"\napi_key = "{KEY}"\nsimulated = {{rate = 1}}', "simulated model"),
        ('[providers.x]\nbase_url = "http://h"', "needs a `kind`: openai, anthropic, simulated"),
        ('[providers.x]\nkind = "gemini"', "kind"),
        ('[providers.x]\nkind = "openai"\nurl = "http://h"', "`url`"),
    ],
)
def test_mistakes_are_named_where_they_are(toml, says):
    message = problem(toml)
    assert says in message
    assert KEY not in message


def test_a_provider_may_bound_its_runs():
    toml = {
        "providers": {
            "groq": {"kind": "openai", "base_url": "https://api.groq.com/v1", "api_key": "k", "max_live": 5},
            "simulated": {"max_live": 2},
        },
        "models": {"fast": {"provider": "groq"}, "slow": {"provider": "simulated"}},
    }
    config = configured(toml, {})
    assert [config.models[name].provider.max_live for name in ("fast", "slow")] == [5, 2]
    assert [model.max_live for model in Catalog(config).resolve("fast")] == [5]
    with pytest.raises(SetupError, match="`max_live` is 0, for no bound, or more"):
        configured({"providers": {"simulated": {"max_live": -1}}}, {})
