import pytest

from tokentape.cli import main
from tokentape.cli.configuration import read_config, sqlite_url, with_durability
from tokentape.cli.exits import Exit
from tokentape.core.errors import SetupError
from tokentape.server.config import load_config
from tokentape.stores.open import open_store


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(tmp_path, monkeypatch):
    (tmp_path / "tokentape.toml").write_text('host = "127.0.0.3"\nport = 1003\nstore = "memory://"\n')
    monkeypatch.setenv("TOKENTAPE_PORT", "1002")
    monkeypatch.setenv("TOKENTAPE_HOST", "127.0.0.2")
    config = read_config(None, host="127.0.0.1", port=None)
    assert (config.host, config.port, config.store) == ("127.0.0.1", 1002, "memory://")


def test_without_a_file_there_are_defaults():
    assert read_config(None).port == 8000


def test_what_the_clients_read_is_no_setting_of_a_server(monkeypatch):
    monkeypatch.setenv("TOKENTAPE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TOKENTAPE_TOKEN", "x")
    assert read_config(None).port == 8000


def test_a_file_that_was_named_has_to_be_there(tmp_path, capsys):
    assert main(["models", "--config", "missing.toml"]) == Exit.USAGE
    assert capsys.readouterr().err == "error: There is no missing.toml. Leave --config out to do without a file.\n"
    (tmp_path / "broken.toml").write_text("port = ")
    assert main(["serve", "--config", "broken.toml"]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("error: tokentape.toml is not TOML")


@pytest.mark.parametrize(
    ("store", "url"),
    [
        ("sqlite:///tape.db", "sqlite:///tape.db?durability=full"),
        ("sqlite:////var/tape.db", "sqlite:////var/tape.db?durability=full"),
        ("sqlite:///tape.db?durability=normal", "sqlite:///tape.db?durability=full"),
    ],
)
def test_durability_is_an_option_of_the_store(store, url):
    config = with_durability(load_config(None, {}, {"store": store}), "full")
    assert config.store == url
    open_store(url)


async def test_any_path_can_be_a_store(tmp_path):
    file = tmp_path / "a b?c#d%20é" / "tape.db"
    file.parent.mkdir()
    async with open_store(sqlite_url(file)):
        assert file.exists()


def test_durability_is_left_alone_and_refused_where_it_means_nothing():
    config = load_config(None, {}, {"store": "memory://"})
    assert with_durability(config, None) is config
    with pytest.raises(SetupError, match="--durability is for a SQLite file"):
        with_durability(config, "full")


def test_a_store_that_is_none_is_a_line_and_exit_2(capsys):
    assert main(["serve", "--store", "postgres://x"]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("error: 'postgres://x' is not the URL of a store")


def test_a_public_address_without_keys_is_refused(capsys):
    assert main(["serve", "--host", "0.0.0.0", "--port", "0", "--store", "memory://"]) == Exit.USAGE
    err = capsys.readouterr().err
    assert "can be reached by others, and there are no API keys" in err
    assert "Traceback" not in err
