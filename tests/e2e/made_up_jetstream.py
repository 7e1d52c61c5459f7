"""Seeded random conversations with JetStream, for ``test_jetstream_random.py`` and, longer ones, from the command line:

    python -m tests.e2e.made_up_jetstream --seeds 20 --steps 500

``jetstream_author.py`` makes them up; here they are held with both servers.  Of a difference that is found it is tried
which of the steps before it are needed (``--shrink``).
"""

import argparse
import base64
import difflib
import json
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

from tests.conftest import PATIENCE, Server
from tests.e2e.jetstream_author import MADE_UP_NAME, PIN, QUIET, Author
from tests.e2e.talk import ATTEMPTS, Conversation, Heard, Servers, Step

SILENCE = 1.0  # seconds after which no answer comes any more
REST = 0.1  # seconds without a word after which everything has come
SETTLE = 0.005  # seconds after which consumers know what has become of the stream: both tell them behind the PubAck
INBOX = "1"  # the subscription to every reply
HOLDS = 3  # of one conversation, before it is said that the two never answer alike
NAMED = re.compile(r'consumer_create_response","stream_name":"[^"]*","name":"([A-Za-z0-9]{8})"')
PINNED = re.compile(r"Nats-Pin-Id: ([A-Za-z0-9]{22})")
HEADERS = re.compile(r'"hdrs": "([^"]*)"')
SOURCED = re.compile(r"(Nats-Stream-Source: (?:[^ ]+ ){5})\w{8}")
MOVING = re.compile(r'"(active|pause_remaining|ack_time)": -?\d+')


class Talk(Conversation):
    """Reads until the end of each answer is there, instead of counting.  What comes at other times (to a request that
    waits, or from a consumer that pushes) is put aside, and told of when everybody rests."""

    def __init__(self, server: Server, user: str) -> None:
        super().__init__(server, user)
        self.names: list[str] = []  # that servers made up
        self.pin = ""
        self.late: list[Heard] = []

    def hold(self, steps: list[Step]) -> list[list[str]]:
        try:
            return [self._settled(self._step(step)) for step in steps]
        finally:
            self.wire.close()

    def _step(self, step: Step) -> list[str]:
        self.count += 1
        if step.subject.startswith("SUB "):
            self.wire.send(f"{step.subject} {self.count + 10}\r\nPING\r\n".encode())
            self._pong()
            return [step.subject]
        if step.subject == QUIET:
            return [QUIET, *self._rest()]
        self.inexact = self.inexact or bool(step.headers) or b'"sources"' in step.body
        if step.ack_of >= 0 and not self.deliveries:
            return ["nothing to acknowledge"]
        if step.ack_of >= 0:
            step = step._replace(ack_of=step.ack_of % len(self.deliveries))
        title = f"{step.subject or 'ack'} {step.headers or ''} {step.body[:300].decode(errors='replace')}"
        step = self._filled(step)
        reply = f"_I.{self.count}.{step.reply}" if step.reply else f"_I.{self.count}"
        if ".CONSUMER." in step.subject:
            time.sleep(SETTLE)
        self._publish(step, reply)
        return [title, *(self._answers(step, reply) if step.answers else [])]

    def _filled(self, step: Step) -> Step:
        """With what the server made up in place of what the author could not know."""
        name = self.names[-1] if self.names else "NONE"
        body = step.body.replace(MADE_UP_NAME.encode(), name.encode()).replace(PIN.encode(), self.pin.encode())
        return step._replace(subject=step.subject.replace(MADE_UP_NAME, name), body=body)

    def _pong(self) -> None:
        self.wire.socket.settimeout(PATIENCE)
        while self.wire.expect(rb"(?:PING\r\n)*(PONG\r\n|(?=H?MSG ))")[-6:] != b"PONG\r\n":
            self.late.append(self._heard())

    def _answers(self, step: Step, reply: str) -> list[str]:
        self.wire.socket.settimeout(SILENCE)
        found: list[str] = []
        wanted, pull = _wanted(step), ".MSG.NEXT." in step.subject
        while len(found) < wanted:
            try:
                heard = self._heard()
            except TimeoutError:
                found.append("silence")
                break
            if heard.subject != reply and not (pull and heard.sid == INBOX and not heard.subject.startswith("_I.")):
                self.late.append(heard)
                continue
            if "NATS/1.0 100" not in heard.text:
                found.append(self._told(heard))
            if re.search(r"NATS/1.0 (4|503|204)", heard.text):
                break
        return found

    def _rest(self) -> list[str]:
        self.wire.socket.settimeout(REST)
        try:
            while True:
                self.late.append(self._heard())
        except TimeoutError:
            pass
        late, self.late = self.late, []
        to_whom = {heard: (heard.subject if heard.subject.startswith("_I.") else "", heard.sid) for heard in late}
        return [" ".join((*to_whom[heard], self._told(heard))) for heard in sorted(late, key=to_whom.__getitem__)]

    def _told(self, heard: Heard) -> str:
        if heard.reply:
            self.deliveries.append(heard.reply)
        return heard.text

    def _heard(self) -> Heard:
        heard = super()._heard()
        if pinned := PINNED.search(heard.text):
            self.pin = pinned.group(1)
        return heard

    def _said(self, payload: bytes) -> str:
        if found := NAMED.search(payload.decode()):
            self.names.append(found.group(1))
        return super()._said(_in_order(payload))

    def _settled(self, found: list[str]) -> list[str]:
        return [self._plain(text) for text in found]

    def _plain(self, text: str) -> str:
        for name in self.names:
            text = text.replace(name, MADE_UP_NAME)
        text = MOVING.sub(r'"\1": 0', PINNED.sub("Nats-Pin-Id: <pin>", text))
        text = re.sub(r'"pinned_client_id": "\w+"', '"pinned_client_id": "<pin>"', text)
        text = re.sub(r'"invalid JSON(\\.|[^"\\])*"', '"invalid JSON"', text)  # of several faults each tells its own
        text = HEADERS.sub(lambda found: f'"hdrs": {base64.b64decode(found.group(1))!r}', text)
        text = SOURCED.sub(r"\1<identity>", text)
        text = re.sub(r"(400 Bad Request - )(?!Priority|Invalid|Not a|heartbeat)[^']*", r"\1<why>", text)
        text = text.replace('"num_deleted": 1, "deleted": [0], ', "")  # of a stream that never had a message
        if "account_info_response" in text and self.inexact:
            text = re.sub(r'"(memory|storage)": \d+', r'"\1": 0', text)
        return text


def _in_order(payload: bytes) -> bytes:
    """What nats-server tells of a stream's sources in any order."""
    if b'"sources":[' not in payload or not payload.startswith(b"{"):
        return payload
    told = json.loads(payload)
    for stream in (told, *told.get("streams", ())):
        if isinstance(stream, dict) and "sources" in stream:
            stream["sources"].sort(key=lambda source: str(source["name"]))
    return json.dumps(told).encode()


def _wanted(step: Step) -> int:
    """How many answers there are at most; a status ends them sooner."""
    try:
        body = json.loads(step.body)
    except ValueError:
        return 1
    if not isinstance(body, dict):
        return 1
    batch = body.get("batch", 1)
    if ".MSG.NEXT." in step.subject:
        return (batch if isinstance(batch, int) and batch > 0 else 1) + bool(body.get("max_bytes"))
    if ".DIRECT.GET." in step.subject and ("batch" in body or "multi_last" in body):
        return 10_000
    return 1


class Pair(Servers):
    """``difference``: where the two servers part ways, or nothing."""

    def __init__(self, folder: Path, conversations: int) -> None:
        self.folder, self.conversations, self.generation = folder, conversations, 0
        super().__init__(folder / "0", conversations)

    def difference(self, steps: list[Step]) -> str:
        number, ours, theirs = self._parted(steps)
        if number < 0:
            return ""
        before = "\n".join(f"  {step[0]}" for step in ours[max(number - 12, 0) : number])
        return f"step {number}\n{before}\n> {ours[number][0]}\n{_parting(theirs[number][1:], ours[number][1:])}"

    def shrunk(self, steps: list[Step]) -> list[Step]:
        """Without the steps that the first difference does not need; each takes the rest behind it along."""
        units: list[list[Step]] = []
        for step in steps[: self._parted(steps)[0] + 1]:
            if step.subject == QUIET and units:
                units[-1].append(step)
            else:
                units.append([step])
        size = len(units) // 2
        while size:
            start = 0
            while start < len(units):
                fewer = units[:start] + units[start + size :]
                if fewer and self._parted(list(chain(*fewer)), holds=1)[0] >= 0:
                    units = fewer
                else:
                    start += size
            size //= 2
        steps = list(chain(*units))
        return steps[: self._parted(steps)[0] + 1]

    def _parted(self, steps: list[Step], holds: int = HOLDS) -> tuple[int, list[list[str]], list[list[str]]]:
        """The first step at which no answer of one is one of the other's.  nats-server counts what is pending behind the
        PubAck and delivers from several threads, and a machine may be slow: once in a while something else is said."""
        ours: list[list[list[str]]] = []
        theirs: list[list[list[str]]] = []
        for _ in range(holds):
            if self.taken + 2 > self.conversations * (ATTEMPTS + 1):
                self._renew()
            with ThreadPoolExecutor(2) as pool:
                for held, found in zip(
                    (ours, theirs), pool.map(partial(self._play, steps), (self.edge, self.nats), (1, 2)), strict=True
                ):
                    held.append(found)
            self.taken += 2
            unlike = [
                number
                for number in range(len(steps))
                if not any(mine[number] == real[number] for mine in ours for real in theirs)
            ]
            if not unlike:
                return -1, ours[0], theirs[0]
        return unlike[0], ours[0], theirs[0]

    def _renew(self) -> None:
        """Both servers anew: each conversation has an account that nobody has spoken in."""
        self.close()
        self.generation += 1
        super().__init__(self.folder / str(self.generation), self.conversations)

    def _play(self, steps: list[Step], server: Server, account: int) -> list[list[str]]:
        """``account``: so many behind those that have been taken."""
        user = f"u{self.taken + account}"
        held = Talk(server, user).hold(steps)
        names = Talk(server, user).hold([Step("$JS.API.STREAM.NAMES")])[0][1]
        found = json.loads(names[names.index("{") :])["streams"] or []
        Talk(server, user).hold([Step(f"$JS.API.STREAM.DELETE.{name}") for name in found])
        return held


def _parting(theirs: list[str], ours: list[str]) -> str:
    """Only the fields that differ."""
    lines = []
    for line in difflib.ndiff(*(" |\n".join(each).replace(", ", ",\n").splitlines() for each in (theirs, ours))):
        if line[0] in "+-":
            lines.append(line)
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--shrink", action="store_true", help="show which steps a difference needs")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        servers = Pair(Path(folder), 100)
        for seed in range(options.first, options.first + options.seeds):
            steps = Author(seed).conversation(options.steps)
            difference = servers.difference(steps)
            failed += bool(difference)
            if difference and options.shrink:
                difference = servers.difference(servers.shrunk(steps)) or difference
            print(f"seed {seed}: {difference or 'equal'}", flush=True)
        servers.close()
    print(f"{options.seeds - failed} of {options.seeds} conversations of {options.steps} steps are equal")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
