"""The configuration: whether it holds together, and who could get in."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from tokentape.core.findings import Finding
from tokentape.providers.configuration import SIMULATED
from tokentape.server.config import ServerConfig


def examine_setup(config: ServerConfig) -> list[Finding]:
    """What can be said without opening anything."""
    return [_exposure(config), _models(config)]


def _exposure(config: ServerConfig) -> Finding:
    where = f"{config.host}:{config.port}"
    if config.auth.delegated:
        return Finding(
            "access",
            "warning",
            f"{where} lets everybody in: `auth.delegated` says that something in front decides who may.",
            "Make sure that nobody reaches this address but through that proxy or application.",
        )
    if config.auth.api_keys:
        return Finding("access", "ok", f"{where}, for holders of one of {len(config.auth.api_keys)} API keys.")
    if _is_loopback(config.host):
        return Finding("access", "ok", f"{where}, open to everybody on this machine (no API keys).")
    return Finding(
        "access",
        "failure",
        f"{where} can be reached by others, and there are no API keys: `serve` refuses to start.",
        'Set `auth.api_keys` (TOKENTAPE_AUTH_API_KEYS), or `host = "127.0.0.1"`.',
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _models(config: ServerConfig) -> Finding:
    catalog = config.providers
    plain = sorted(
        provider.name
        for provider in catalog.providers.values()
        if provider.api_key is not None and _is_exposed(provider.base_url)
    )
    if plain:
        return Finding(
            "models",
            "warning",
            f"The key of {', '.join(plain)} travels over plain HTTP.",
            f"Use an https:// address: `base_url` of [providers.{plain[0]}].",
        )
    if set(catalog.providers) == {SIMULATED}:
        return Finding(
            "models",
            "warning",
            "There is only the simulated model.",
            "Set OPENAI_API_KEY or ANTHROPIC_API_KEY, or add [providers] to tokentape.toml.",
        )
    names = ", ".join(sorted(name for name in catalog.providers if name != SIMULATED))
    return Finding("models", "ok", f"providers: {names}; the default model is {catalog.default}.")


def _is_exposed(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")
