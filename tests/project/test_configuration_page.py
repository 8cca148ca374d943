"""docs/configuration.md says what is true: every setting is there, with its default."""

import re
import tomllib
from pathlib import Path

import msgspec

from tokentape.server.config import _SETTINGS, load_config

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
SERVER, MODELS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def _names(table: dict, prefix: str = ""):
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_setting_is_on_the_page() -> None:
    assert sorted(_names(tomllib.loads(SERVER))) == sorted(_SETTINGS)


def test_the_page_shows_the_defaults() -> None:
    shown = load_config(SERVER.encode(), {}, {})
    defaults = load_config(None, {}, {})
    assert msgspec.structs.asdict(shown) == msgspec.structs.asdict(defaults)


def test_the_tables_of_models_can_be_read() -> None:
    config = load_config(MODELS.encode(), {"GROQ_API_KEY": "k"}, {})
    assert config.providers.default == "fast"
    assert config.providers.models["fast"].timeouts.total == 1800
