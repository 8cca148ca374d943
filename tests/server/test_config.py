"""The configuration is read once, and says what is wrong with it."""

import re

import pytest

from tokentape.core.errors import SetupError
from tokentape.runs import RunSettings
from tokentape.server.admin.admin import is_on
from tokentape.server.config import ServerConfig, load_config
from tokentape.stores.base import Retention


def test_nothing_given_is_the_default():
    config = load_config(None, {}, {})
    assert config == ServerConfig(providers=config.providers)
    assert (config.host, config.port) == ("127.0.0.1", 8000)
    assert config.limits.max_body == 1_048_576
    assert config.limits.write_deadline == 15
    assert config.limits.heartbeat == 10
    assert config.limits.max_streams == 64
    assert config.shutdown_grace == 20


def test_the_later_source_wins_setting_by_setting():
    toml = b"""
        port = 1
        host = "10.0.0.1"
        [limits]
        heartbeat = "1s"
        write_deadline = "1s"
        max_body = "2MiB"
    """
    env = {"TOKENTAPE_LIMITS_HEARTBEAT": "2s", "TOKENTAPE_LIMITS_WRITE_DEADLINE": "2s", "HOME": "/x"}
    config = load_config(toml, env, {"limits.heartbeat": 3, "port": 3, "store": None})
    assert (config.host, config.port) == ("10.0.0.1", 3)
    assert (config.limits.heartbeat, config.limits.write_deadline, config.limits.max_body) == (3, 2, 2_097_152)


def test_lists_and_switches_from_the_environment():
    env = {
        "TOKENTAPE_AUTH_API_KEYS": "one, two",
        "TOKENTAPE_CORS_ORIGINS": "https://a.example,http://localhost:5173",
        "TOKENTAPE_LOG_ACCESS": "true",
        "TOKENTAPE_PORT": "9000",
    }
    config = load_config(None, env, {})
    assert [key.matches("two") for key in config.auth.api_keys] == [False, True]
    assert config.cors.origins == ("https://a.example", "http://localhost:5173")
    assert config.log.access is True
    assert config.port == 9000


def test_what_runs_and_channels_are_kept_for():
    config = load_config(
        b'[retention]\nruns_after_close = "1d"\nchannels_max_bytes = "1KiB"', {}, {"limits.live_runs": 5}
    )
    assert config.run_settings() == RunSettings(retention=Retention(after_close=86_400), max_live=5)
    assert config.retention.channels() == Retention(max_bytes=1024)
    # They are stored with each stream, so they must be what JSON knows.
    assert type(config.retention.runs().after_close) is float
    assert type(config.retention.channels().max_bytes) is int


def test_models_are_the_catalogs():
    toml = b'[models.small]\nprovider = "simulated"\nmodel = "simulated"\n[models]\ndefault = "small"'
    assert load_config(toml, {}, {}).providers.default == "small"


@pytest.mark.parametrize(
    ("toml", "env", "overrides", "message"),
    [
        (b"[limits]\nhartbeat = 1", {}, {}, "`limits.hartbeat` in tokentape.toml .* Did you mean `limits.heartbeat`"),
        (b"heartbeat = 1", {}, {}, "Did you mean `limits.heartbeat`"),
        (b"[limit]\nheartbeat = 1", {}, {}, "`limit` in tokentape.toml"),
        (b"zzz = 1", {}, {}, "The settings are: host, port"),
        (b"limits = 1", {}, {}, "is a table"),
        (b"port = ", {}, {}, "not TOML"),
        (b"\xff", {}, {}, "not TOML"),
        (b'[limits]\nheartbeat = "soon"', {}, {}, "`limits.heartbeat` in tokentape.toml: 'soon' is not a duration"),
        (b"", {"TOKENTAPE_LIMITS_HEARTBEAT": "soon"}, {}, "`limits.heartbeat` in the environment"),
        (b"", {"TOKENTAPE_AUTH_APIKEYS": "x"}, {}, "Did you mean `TOKENTAPE_AUTH_API_KEYS`"),
        (b"", {}, {"limits.max_body": "huge"}, "`limits.max_body` in the command line: 'huge' is not a size"),
        (b"", {}, {"prot": 1}, "`prot` in the command line is not a setting. Did you mean `port`"),
        (b"port = 65536", {}, {}, "port is from 0 to 65535, not 65536"),
        (b'port = "http"', {}, {}, "`port` in tokentape.toml: Expected `int`"),
        (b"[limits]\nheartbeat = 0", {}, {}, "must be longer than nothing"),
        (b"[limits]\nmax_streams = 0", {}, {}, "at least 1"),
        (b'[cors]\norigins = ["https://a.example/"]', {}, {}, "is not an origin"),
        (b'[cors]\norigins = ["a.example"]', {}, {}, "is not an origin"),
        (b'[cors]\norigins = ["*"]', {}, {}, "needs auth.api_keys"),
        (b'hosts = ["a b"]', {}, {}, "is not the name of a host"),
        (b'[log]\nformat = "xml"', {}, {}, "`log.format` in tokentape.toml"),
    ],
)
def test_what_is_wrong_is_named(toml, env, overrides, message):
    with pytest.raises(SetupError, match=message.replace("[", r"\[")):
        load_config(toml, env, overrides)


def test_a_variable_of_somebody_else_is_left_alone():
    load_config(None, {"TOKENTAPE_URL": "http://x", "TOKENTAPE_TOKEN": "y"}, {})


def test_keys_are_shown_nowhere():
    config = load_config(b'[auth]\napi_keys = ["sk-planted"]', {}, {})
    assert "planted" not in repr(config)
    for toml in (
        b'[auth]\napi_keys = "sk-planted"',
        b'[auth]\napi_keys = ["sk planted"]',
        b'[auth]\napi_keys = [{"sk-planted" = 1}]',
    ):
        with pytest.raises(SetupError) as caught:
            load_config(toml, {}, {})
        assert not re.search("planted", str(caught.value))


@pytest.mark.parametrize(
    ("settings", "loopback", "on"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"admin.enabled": "on"}, False, True),
        ({"admin.enabled": "off"}, True, False),
        # Somebody else may come in by a proxy on this machine.
        ({"auth.delegated": True}, True, False),
        ({"hosts": ["tape.example"]}, True, False),
        ({"auth.api_keys": ["key"]}, True, True),
        ({"auth.api_keys": ["key"]}, False, False),
    ],
)
def test_where_the_admin_api_is_on(settings, loopback, on):
    assert is_on(load_config(None, {}, settings), loopback=loopback) is on


def test_how_large_a_crowd_may_be():
    assert load_config(None, {"TOKENTAPE_ADMIN_MAX_CROWD": "0"}, {}).admin.max_crowd == 0
    with pytest.raises(SetupError, match="max_crowd is from 0 to 10000"):
        load_config(b"[admin]\nmax_crowd = 10001", {}, {})
    with pytest.raises(SetupError, match=r"admin\.enabled"):
        load_config(b"[admin]\nenabled = true", {}, {})
