"""Real proxies, each with the very file from deploy/, on free ports of the loopback interface."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from certificates import SELF_SIGNED
from ports import free_port

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
START_SECONDS: Final = 20.0
NAMES: Final = ("nginx", "haproxy", "caddy")
CERTIFICATE_FOLDER: Final = "/etc/ssl/tokentape"

PLAIN: Final = {
    "nginx": "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{one}; }} }}",
    "haproxy": (
        "defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n"
        "frontend web\n bind 127.0.0.1:{port}\n default_backend app\nbackend app\n server one 127.0.0.1:{one}\n"
    ),
    "caddy": "http://127.0.0.1:{port} {{\n\treverse_proxy 127.0.0.1:{one}\n}}\n",
}
"""What somebody writes who only wants it to work: the proxies' own defaults."""

NGINX: Final = """\
daemon off;
pid nginx.pid;
error_log stderr warn;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    {included}
}}
"""
CADDY: Final = "{{\n\tadmin off\n\thttp_port {other}\n\tskip_install_trust\n\tstorage file_system {folder}\n}}\n"


def program(name: str) -> str:
    """Servers are in folders that not everybody has on the path."""
    for folder in (None, "/usr/sbin", "/usr/local/sbin", "/sbin"):
        if found := shutil.which(name, path=folder):
            return found
    raise FileNotFoundError(f"{name} is not installed: scripts/program {name} {name}")


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """The text with each of these in place of the other; all of them must be there, so that no file drifts away."""
    for old, new in changes.items():
        assert old in text, f"{old!r} is no longer in the file"
        text = text.replace(old, new)
    return text


class Proxy:
    """One proxy before two instances; `plain`: with its own defaults, before the first of them, without TLS.

    Without `tls` only its listening socket differs from the file in deploy/ (nginx alone). `locations` are nginx's, for
    a server that somebody got wrong.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        instances: tuple[int, int],
        *,
        plain: bool = False,
        tls: bool = True,
        locations: str = "",
    ) -> None:
        self.name = name
        self.port = free_port()
        self.certificate = folder / "proxy.pem"
        self.tls = tls and not plain and not locations
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"
        self._folder = folder
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.certificate.write_text(SELF_SIGNED)
        if plain or locations:
            text = f"server {{{{ listen 127.0.0.1:{{port}}; {locations} }}}}" if locations else PLAIN[name]
            self._write(text.format(port=self.port, one=instances[0]))
        else:
            self._write(self._deployed(instances))

    def _deployed(self, instances: tuple[int, int]) -> str:
        one, two = (f"127.0.0.1:{port}" for port in instances)
        other, pem = free_port(), str(self.certificate)
        common = {"127.0.0.1:8001": one, "127.0.0.1:8002": two}
        if self.name == "nginx":
            changes = {
                "listen 443 ssl http2": f"listen 127.0.0.1:{self.port}{' ssl http2' if self.tls else ''}",
                "listen 80": f"listen 127.0.0.1:{other}",
                f"{CERTIFICATE_FOLDER}/fullchain.pem": pem,
                f"{CERTIFICATE_FOLDER}/privkey.pem": pem,
            }
            return replaced((DEPLOY / "nginx" / "tokentape.conf").read_text(), common | changes)
        if self.name == "haproxy":
            changes = {
                "bind :443": f"bind 127.0.0.1:{self.port}",
                "bind :80": f"bind 127.0.0.1:{other}",
                "/etc/haproxy/certs/tokentape.pem": pem,
                "maxconn 40000": "maxconn 500",  # as many descriptors as a test may have
            }
            return replaced((DEPLOY / "haproxy" / "haproxy.cfg").read_text(), common | changes)
        changes = {"chat.example.com {": f"https://127.0.0.1:{self.port} {{\n\ttls {pem} {pem}"}
        return replaced((DEPLOY / "caddy" / "Caddyfile").read_text(), common | changes)

    def _write(self, text: str) -> None:
        if self.name == "nginx":
            text = NGINX.format(included=text.replace("\n", "\n    "))
        elif self.name == "caddy":
            text = CADDY.format(folder=self._folder / "caddy", other=free_port()) + text
        (self._folder / f"{self.name}.conf").write_text(text)

    def _command(self) -> list[str]:
        config = str(self._folder / f"{self.name}.conf")
        return {
            "nginx": ["-p", str(self._folder), "-c", config, "-e", "stderr"],
            "haproxy": ["-db", "-f", config],
            "caddy": ["run", "--adapter", "caddyfile", "--config", config],
        }[self.name]

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program(self.name), *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": "/usr/bin:/bin", "HOME": str(self._folder)},
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        self.__exit__()
        raise RuntimeError(f"{self.name} does not start:\n{self._log.read_text()}")

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def protocol(self) -> str | None:
        """What the proxy chooses when a browser offers HTTP/2 and HTTP/1.1."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=START_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        ):
            return secured.selected_alpn_protocol()
