"""Account JWTs that are somewhere else: behind a URL, or with servers that are asked over the system account."""

import asyncio
import logging
import secrets
from collections.abc import Callable

from edge.core.account import Account
from edge.core.jwt import MAX_BYTES, ClaimsError
from edge.core.peer import Subscription
from edge.net.jwt_directory import JwtDirectory

log = logging.getLogger("edge")

TIMEOUT = 2.0  # seconds


class UrlResolver:
    """``<url><key>`` answers with the JWT.  Asked in a thread, so that nobody waits for it but the one who logs in."""

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        self.url = url if url.endswith("/") else f"{url}/"
        self.timeout = timeout

    def known(self) -> tuple[str, ...]:
        return ()

    def fetch(self, key: str, answer: Callable[[str], object]) -> None:
        loop = asyncio.get_running_loop()

        def done(future: "asyncio.Future[str]") -> None:
            if not future.cancelled():
                answer(future.result())

        loop.run_in_executor(None, get, self.url + key, self.timeout).add_done_callback(done)


def get(url: str, timeout: float) -> str:
    """Empty, with a line in the log, when there is no answer."""
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            body: bytes = response.read(MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        log.error("cannot fetch an account JWT from %s: %s", url, exc)
        return ""
    return body.decode("ascii", "replace").strip() if len(body) <= MAX_BYTES else ""


class CacheResolver:
    """Those that were asked for, in a directory; the others come over the system account."""

    def __init__(self, directory: JwtDirectory, system: Account, timeout: float = TIMEOUT) -> None:
        self.directory = directory
        self.system = system
        self.timeout = timeout
        self.asked: dict[str, tuple[str, Subscription, asyncio.TimerHandle, Callable[[str], object]]] = {}

    def known(self) -> list[str]:
        return self.directory.keys()

    def fetch(self, key: str, answer: Callable[[str], object]) -> None:
        if jwt := self.directory.load(key):
            answer(jwt)
            return
        reply = f"$SYS._INBOX.{secrets.token_hex(8)}.{secrets.token_hex(4)}"
        sub = self.system.subscribe(reply, self._on_answer)
        timer = asyncio.get_running_loop().call_later(self.timeout, self._settle, reply, "")
        self.asked[reply] = key, sub, timer, answer
        self.system.publish(f"$SYS.REQ.ACCOUNT.{key}.CLAIMS.LOOKUP", reply=reply)
        self.system.router.flush()

    def _on_answer(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """An empty one is from a server that has none; another may have it."""
        if payload:
            self._settle(subject, payload.decode("ascii", "replace"))

    def _settle(self, reply: str, jwt: str) -> None:
        if reply not in self.asked:
            return
        key, sub, timer, answer = self.asked.pop(reply)
        timer.cancel()
        self.system.unsubscribe(sub)
        if jwt:
            try:
                self.directory.save(key, jwt)
            except ClaimsError as exc:
                log.warning("account %s is not kept: %s", key, exc)
        answer(jwt)
        self.system.router.flush()
