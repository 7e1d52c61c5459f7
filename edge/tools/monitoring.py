"""What a server says of itself over HTTP: petiole-edge's monitoring, or that of a real nats-server.

Where it is: the URL that was given, or what the server's configuration says, or the usual place.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.tools.errors import ToolError
from edge.tools.figures import plain

if TYPE_CHECKING:
    import ssl

    from edge.config.options import Config

USUAL_URL = "http://127.0.0.1:8222"
TIMEOUT_S = 5.0
MAX_BYTES = 64 << 20  # of one document
PAGE = 1024  # connections asked for at a time, and as many as the server gives unasked
EVERYWHERE = ("", "0.0.0.0", "::")

Doc = dict[str, Any]


class Monitoring:
    """``url`` without a path of a document.  ``ca_file`` and ``insecure`` are for https."""

    def __init__(self, url: str, ca_file: str = "", insecure: bool = False, timeout: float = TIMEOUT_S) -> None:
        self.url = _with_scheme(url).rstrip("/")
        self.ca_file = ca_file
        self.insecure = insecure
        self.timeout = timeout

    def get(self, document: str, **query: object) -> Doc:
        """``get("connz", limit=5)``.  ToolError when there is no such document."""
        found = self._load(document, query)
        if found is None:
            raise ToolError(f"{self.url}/{document}: not found; is {self.url} the monitoring port?")
        return found

    def find(self, document: str, **query: object) -> Doc | None:
        """None where the server has no such document."""
        return self._load(document, query)

    def connections(self, **query: object) -> list[Doc]:
        """All of them, page by page."""
        found: list[Doc] = []
        while True:
            page = self.get("connz", offset=len(found), limit=PAGE, **query)
            found += page.get("connections") or []
            if not page.get("connections") or len(found) >= page.get("total", 0):
                return found

    def _load(self, document: str, query: dict[str, object]) -> Doc | None:
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.parse import urlencode
        from urllib.request import HTTPSHandler, ProxyHandler, build_opener

        address = f"{self.url}/{document}" + (f"?{urlencode(query)}" if query else "")
        # No proxies: what is monitored is on this machine or beside it.
        handlers = [ProxyHandler({}), *([HTTPSHandler(context=self._tls())] if address.startswith("https") else [])]
        try:
            with build_opener(*handlers).open(address, timeout=self.timeout) as answer:
                return _document(address, answer.read(MAX_BYTES + 1))
        except HTTPError as exc:
            with exc:
                return self._refused(address, exc.code, exc.read(MAX_BYTES + 1))
        except HTTPException as exc:
            raise ToolError(f"{self.url}: what answers there does not speak HTTP; is it the monitoring port?") from exc
        except (OSError, ValueError) as exc:  # URLError is an OSError; a port that is no number a ValueError
            raise ToolError(self._no_answer(getattr(exc, "reason", exc))) from exc

    def _refused(self, address: str, code: int, body: bytes) -> Doc | None:
        if code == 404:
            return None
        if code == 503:  # healthz of a server that is not well
            return _document(address, body)
        text = plain(" ".join(body[:200].decode(errors="replace").split()))
        raise ToolError(f"{address}: HTTP {code}{f': {text}' if text else ''}")

    def _no_answer(self, reason: object) -> str:
        if isinstance(reason, TimeoutError):
            return f"{self.url}: no answer within {self.timeout:g} s"
        if isinstance(reason, ConnectionRefusedError):
            return f"nothing listens at {self.url}: is the server running, and is http: in its configuration?"
        if "CERTIFICATE" in str(reason):
            return f"{self.url}: its certificate is not trusted: --cacert FILE names who signed it, -k trusts anyone"
        text = getattr(reason, "strerror", None) or str(reason)
        return f"{self.url}: {text}"

    def _tls(self) -> "ssl.SSLContext":
        import ssl

        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
        except (OSError, ssl.SSLError) as exc:
            raise ToolError(f"--cacert {self.ca_file}: {exc.strerror or exc}") from exc
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _document(address: str, raw: bytes) -> Doc:
    if len(raw) > MAX_BYTES:
        raise ToolError(f"{address}: more than {MAX_BYTES >> 20} MB")
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ToolError(f"{address}: what answers there is no monitoring of a NATS server")
    return found


def _with_scheme(url: str) -> str:
    """``127.0.0.1:8222`` will do."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        return f"http://{url}"
    if scheme not in ("http", "https"):
        raise ToolError(f"{url}: monitoring is asked over http:// or https://")
    return url


# ---- where it is


def find_url(url: str, config_path: str) -> str:
    """ToolError when the configuration has no monitoring, or ConfigError when it is none."""
    if url:
        return url
    if not config_path:
        return USUAL_URL
    from edge.config.load import load_config
    from edge.flags import Flags

    found = configured_url(load_config(config_path, Flags(), os.environ))
    if not found:
        raise ToolError(f"{config_path} has no monitoring: add http: 127.0.0.1:8222 to it, or give --url")
    return found


def configured_url(config: "Config") -> str:
    """Empty when there is none.  A port of the system's choice stands in the ports file."""
    for scheme, listen in (("http", config.http), ("https", config.https)):
        if listen is None:
            continue
        if not listen.port:
            return _from_ports_file(config.ports_file_dir)
        host = "127.0.0.1" if listen.host in EVERYWHERE else listen.host
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}:{listen.port}{config.http_base_path}"
    return ""


def _from_ports_file(folder: str) -> str:
    for file in sorted(Path(folder).glob("*.ports")) if folder else ():
        try:
            urls = json.loads(file.read_text()).get("monitoring")
        except (OSError, ValueError, AttributeError):
            continue
        if urls:
            return str(urls[0])
    raise ToolError("the port of monitoring is chosen at the start: give --url with the one that the log names")
