"""Which models there are: from the `[models]` and `[providers]` tables of tokentape.toml, and the environment. Pure.

    [providers.groq]                     an address and a key; `groq:<model>` reaches every model there
    kind = "openai"
    base_url = "https://api.groq.com/openai/v1"
    api_key_env = "GROQ_API_KEY"

    [models]
    default = "fast"

    [models.fast]                        one model by a name of your own
    provider = "groq"
    model = "llama-3.3-70b-versatile"
    fallback = ["gpt-4o-mini"]
    timeouts = {first_token = "20s"}
    parameters = {temperature = 0.2}

The providers `openai`, `anthropic` and `ollama` are there without a table when the environment has their key or host,
and `simulated` always. URLs and keys come from here alone: a caller names a model, never an address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar, get_args
from urllib.parse import urlsplit

import msgspec

from tokentape.core.durations import seconds
from tokentape.core.errors import BadRequest, SetupError
from tokentape.providers.base import Timeouts
from tokentape.providers.secret import Secret
from tokentape.providers.simulation import Options

Kind = Literal["openai", "anthropic", "simulated"]
"""The formats that are spoken."""
SIMULATED: Final = "simulated"
BASE_URLS: Final[Mapping[str, str]] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    SIMULATED: "",
}

_T = TypeVar("_T", bound=msgspec.Struct)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@+-]{0,99}", re.ASCII)
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_OLLAMA_PORT: Final = 11_434


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One address, in one format, with one key."""

    name: str
    kind: Kind
    base_url: str = ""
    api_key: Secret | None = None
    headers: tuple[tuple[str, Secret], ...] = ()
    proxy: str = ""
    open: bool = True
    """Whether `<name>:<model>` reaches any model there, or only those with a `[models]` table of their own."""
    max_live: int = 0
    """Runs of one process that may be there at a time; the others are `queued`. 0 is without that bound."""


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `parameters` and `simulated` are defaults, which a request's own values go before."""

    name: str
    provider: ProviderConfig
    model: str
    timeouts: Timeouts = Timeouts()
    retries: int = 2
    fallback: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}
    simulated: dict[str, Any] = {}


_EMBEDDED: Final = ProviderConfig(name=SIMULATED, kind=SIMULATED, open=False)


class CatalogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All models, by name; those of open providers need none. As it comes it knows the simulated one."""

    providers: dict[str, ProviderConfig] = msgspec.field(default_factory=lambda: {SIMULATED: _EMBEDDED})
    models: dict[str, ModelConfig] = msgspec.field(
        default_factory=lambda: {SIMULATED: ModelConfig(name=SIMULATED, provider=_EMBEDDED, model=SIMULATED)}
    )
    default: str = SIMULATED


def discover(env: Mapping[str, str]) -> CatalogConfig:
    """What the environment alone gives: OPENAI_API_KEY (and OPENAI_BASE_URL), ANTHROPIC_API_KEY (and …), OLLAMA_HOST.

    Raises `SetupError` for a value that cannot be used; the error does not show it.
    """
    found = [_EMBEDDED, _with_key("openai", env), _with_key("anthropic", env), _ollama(env)]
    return CatalogConfig(providers={provider.name: provider for provider in found if provider is not None})


def configured(toml: Mapping[str, Any], env: Mapping[str, str]) -> CatalogConfig:
    """The `[models]` and `[providers]` tables of a parsed tokentape.toml, on top of what the environment gives.

    Without `models.default` the first table of a model is the default, and without one `simulated`.
    Raises `SetupError` with the setting at fault.
    """
    found = discover(env)
    providers = dict(found.providers)
    for name, table in _tables(toml, "providers").items():
        providers[name] = _provider(name, table, providers.get(name), env)
    tables = _tables(toml, "models", plain=("default",))
    own = {name: _model(name, table, providers, env) for name, table in tables.items()}
    chosen = toml.get("models", {}).get("default", next(iter(own), SIMULATED))
    if not isinstance(chosen, str):
        raise SetupError("`models.default` in tokentape.toml is the name of a model.")
    return CatalogConfig(providers=providers, models={**found.models, **own}, default=chosen)


# The environment


def _with_key(kind: Kind, env: Mapping[str, str]) -> ProviderConfig | None:
    variable = f"{kind.upper()}_API_KEY"
    if not env.get(variable, "").strip():
        return None
    url = env.get(f"{kind.upper()}_BASE_URL", "").strip() or BASE_URLS[kind]
    return ProviderConfig(
        name=kind,
        kind=kind,
        base_url=_url(url, f"{kind.upper()}_BASE_URL in the environment"),
        api_key=_secret(env[variable], f"{variable} in the environment"),
    )


def _ollama(env: Mapping[str, str]) -> ProviderConfig | None:
    """OLLAMA_HOST is a host, a host and a port, or a URL; set for a server, it may be the address of all interfaces."""
    host = env.get("OLLAMA_HOST", "").strip()
    if not host:
        return None
    url = host if "://" in host else f"http://{host}"
    parts = urlsplit(_url(url, "OLLAMA_HOST in the environment"))
    name = "127.0.0.1" if parts.hostname in ("0.0.0.0", "::") else parts.hostname or ""  # noqa: S104 - not bound here
    port = parts.port or (_OLLAMA_PORT if parts.scheme == "http" else 443)
    address = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    base_url = parts._replace(netloc=address, path=parts.path.rstrip("/") + "/v1").geturl()
    return ProviderConfig(name="ollama", kind="openai", base_url=base_url)


# The tables


class _Connection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    base_url: str | None = None
    api_key: str | None = None
    api_key_env: str | None = None
    headers: dict[str, str] | None = None
    proxy: str | None = None


class _ProviderTable(_Connection, kw_only=True, forbid_unknown_fields=True):
    kind: Kind | None = None
    open: bool | None = None
    max_live: int | None = None


class _ModelTable(_Connection, kw_only=True, forbid_unknown_fields=True):
    provider: str
    model: str | None = None
    timeouts: dict[str, Any] = {}
    retries: int = 2
    fallback: list[str] = []
    parameters: dict[str, Any] = {}
    simulated: dict[str, Any] = {}


def _tables(toml: Mapping[str, Any], group: str, plain: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    found = toml.get(group, {})
    if not isinstance(found, dict):
        raise SetupError(f"`{group}` in tokentape.toml is a table: write [{group}.<name>] above its settings.")
    tables = {name: table for name, table in found.items() if name not in plain}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise SetupError(f"`{group}.{name}` in tokentape.toml is a table: write [{group}.{name}].")
        if not _NAME.fullmatch(name):
            raise SetupError(f"{name!r:.80} in tokentape.toml is not a name; use letters, digits and '._/@+-'.")
    return tables


def _read(table: Mapping[str, Any], kind: type[_T], where: str) -> _T:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        # msgspec names the place and the types, never the value.
        allowed = ", ".join(kind.__struct_fields__)
        raise SetupError(f"[{where}] in tokentape.toml: {error}. Its settings are: {allowed}.") from None


def _provider(
    name: str, table: Mapping[str, Any], known: ProviderConfig | None, env: Mapping[str, str]
) -> ProviderConfig:
    where = f"providers.{name}"
    read = _read(table, _ProviderTable, where)
    kind = read.kind or (known.kind if known is not None else None)
    if kind is None:
        kind = next((k for k in get_args(Kind) if k == name), None)
    if kind is None:
        raise SetupError(f"[{where}] in tokentape.toml needs a `kind`: {', '.join(get_args(Kind))}.")
    base = known if known is not None and known.kind == kind else ProviderConfig(name=name, kind=kind)
    if read.max_live is not None and read.max_live < 0:
        raise SetupError(f"[{where}] in tokentape.toml: `max_live` is 0, for no bound, or more.")
    connected = _connected(base, read, where, env)
    return msgspec.structs.replace(
        connected,
        open=base.open if read.open is None else read.open,
        max_live=base.max_live if read.max_live is None else read.max_live,
    )


def _model(
    name: str, table: Mapping[str, Any], providers: Mapping[str, ProviderConfig], env: Mapping[str, str]
) -> ModelConfig:
    where = f"models.{name}"
    read = _read(table, _ModelTable, where)
    base = providers.get(read.provider)
    if base is None and read.provider in BASE_URLS:
        # Its key may stand in this table, when the environment has none.
        base = ProviderConfig(name=read.provider, kind=read.provider)  # type: ignore[arg-type]  # one of the kinds
    if base is None:
        known = ", ".join(sorted({*providers, *BASE_URLS}))
        raise SetupError(f"[{where}] in tokentape.toml: there is no provider {read.provider!r:.80}. Known: {known}.")
    if read.retries < 0:
        raise SetupError(f"[{where}] in tokentape.toml: `retries` is 0 or more.")
    provider = _connected(base, read, where, env)
    if provider.base_url == BASE_URLS[provider.kind] != "" and not (provider.api_key or provider.headers):
        raise SetupError(f"[{where}] needs a key: set {provider.kind.upper()}_API_KEY, or `api_key_env` there.")
    return ModelConfig(
        name=name,
        provider=provider,
        model=read.model or name,
        timeouts=_timeouts(read.timeouts, where),
        retries=read.retries,
        fallback=tuple(read.fallback),
        parameters=read.parameters,
        simulated=_simulated(read.simulated, base.kind, where),
    )


def _connected(base: ProviderConfig, table: _Connection, where: str, env: Mapping[str, str]) -> ProviderConfig:
    """A provider with what a table sets; a new address does not inherit the key of the old one."""
    if base.kind == SIMULATED:
        if any(value is not None for value in (table.base_url, table.api_key, table.api_key_env, table.headers)):
            raise SetupError(f"[{where}] in tokentape.toml: the simulated model has no address and no key.")
        return base
    if table.base_url is not None:
        base = ProviderConfig(name=base.name, kind=base.kind, base_url=table.base_url, proxy=base.proxy, open=base.open)
    key = _key(table, where, env) or base.api_key
    return msgspec.structs.replace(
        base,
        base_url=_url(base.base_url or BASE_URLS[base.kind], f"`base_url` of [{where}]"),
        api_key=key,
        headers=base.headers if table.headers is None else _headers(table.headers, where),
        proxy=base.proxy if table.proxy is None else _url(table.proxy, f"`proxy` of [{where}]"),
    )


def _key(table: _Connection, where: str, env: Mapping[str, str]) -> Secret | None:
    if table.api_key is not None:
        return _secret(table.api_key, f"`api_key` of [{where}]")
    if table.api_key_env is None:
        return None
    if not env.get(table.api_key_env, "").strip():
        raise SetupError(f"`api_key_env` of [{where}] names {table.api_key_env!r:.80}, which is not set.")
    return _secret(env[table.api_key_env], f"{table.api_key_env} in the environment")


def _headers(table: Mapping[str, str], where: str) -> tuple[tuple[str, Secret], ...]:
    for name in table:
        if not _HEADER.fullmatch(name):
            raise SetupError(f"{name!r:.80} in `headers` of [{where}] is not the name of a header.")
    return tuple((name, _secret(value, f"{name!r} in `headers` of [{where}]")) for name, value in table.items())


def _secret(value: str, where: str) -> Secret:
    try:
        return Secret.checked(value)
    except ValueError as error:
        raise SetupError(f"{where} cannot be used: {error}.") from None


def _url(text: str, where: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SetupError(f"{where} is not a URL; write it with http:// or https://.")
    if "@" in parts.netloc:
        raise SetupError(f"{where} holds a user or a password; a key belongs in `api_key` or `headers`.")
    return text


def _timeouts(table: Mapping[str, Any], where: str) -> Timeouts:
    unknown = table.keys() - set(Timeouts.__struct_fields__)
    if unknown:
        allowed = ", ".join(Timeouts.__struct_fields__)
        raise SetupError(f"`timeouts` of [{where}] has no {min(unknown)!r:.80}. They are: {allowed}.")
    try:
        return Timeouts(**{name: seconds(value) for name, value in table.items()})
    except ValueError as error:
        raise SetupError(f"`timeouts` of [{where}]: {error}.") from None


def _simulated(table: dict[str, Any], kind: Kind, where: str) -> dict[str, Any]:
    if table and kind != SIMULATED:
        raise SetupError(f"`simulated` of [{where}] is for the simulated model.")
    try:
        Options.read(table)
    except BadRequest as error:
        raise SetupError(f"`simulated` of [{where}]: {error.message}") from None
    return table
