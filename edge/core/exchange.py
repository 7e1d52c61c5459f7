"""What the accounts of this server give each other: set up from their specifications, and again when these change."""

from collections.abc import Iterable

from edge.core.account import Account
from edge.core.account_spec import AccountSpec, Export, Import, Mapping
from edge.core.exports import find_export
from edge.core.latency import Latencies
from edge.core.mappings import make_mappings
from edge.core.peer import Gate, Peer, Subscription
from edge.core.responses import Pending, Responses, Step
from edge.core.router import Router
from edge.core.service_imports import ServiceImport
from edge.core.stream_imports import StreamImport
from edge.core.times import Clock


class MappedSource(Gate):
    """Interest in what a mapping takes away; whatever still has this subject has passed the mapping."""

    def pass_on(
        self, sub: Subscription, origin: Peer | None, subject: str, reply: str, headers: bytes, payload: bytes,
        shown: str = "",
    ) -> bool:  # fmt: skip
        return False


class Exchange:
    """``server`` is our name.  ``deadline`` and ``tick`` are for the shell's timer: answers that never come.

    ``passing``: the services that a message is going through just now.
    """

    def __init__(self, router: Router, server: str, clock: Clock) -> None:
        self.router = router
        self.server = server
        self.clock = clock
        self.latencies = Latencies(server, clock)
        self.passing: list[Step] = []
        self.specs: dict[str, AccountSpec] = {}
        self.gates: dict[tuple[str, Import, Export], StreamImport | ServiceImport] = {}
        self.owed: dict[Account, Responses] = {}
        self.watched: set[Account] = set()
        self.mapped: dict[Account, list[Subscription]] = {}
        self.next_deadline: int | None = None

    # ---- the rules

    def apply(self, specs: Iterable[AccountSpec]) -> None:
        """These are the accounts from now on.  Imports that stay keep the answers that are under way.

        An import of what is not exported to its account is left out: the configuration has refused it already, and
        a JWT may speak of an account that does not know of it yet.
        """
        gone = self.specs.keys()
        self.specs = {spec.name: spec for spec in specs}
        for name in gone - self.specs.keys():
            self.specs[name] = AccountSpec(name)  # it has no rules any more; who is in it may stay
        wanted = {}
        for spec in self.specs.values():
            account = self.router.account(spec.name)
            account.limits = spec.limits
            self._map(account, spec.mappings)
            for imported in spec.imports:
                export = self._export(spec.name, imported)
                if export is not None:
                    wanted[spec.name, imported, export] = account
        for key in [key for key in self.gates if key not in wanted]:
            self.gates.pop(key).close()
        for key, account in wanted.items():
            if key not in self.gates:
                self.gates[key] = self._open(account, *key[1:])

    def _map(self, account: Account, mappings: tuple[Mapping, ...]) -> None:
        """Hubs are asked for what is mapped, too: they send it by its first name."""
        account.mappings = make_mappings(mappings)
        account.forget_routes()
        for sub in self.mapped.pop(account, ()):
            account.remove(sub)
        if mappings:
            self.mapped[account] = [Subscription(MappedSource(account.name), mapping.source) for mapping in mappings]
            for sub in self.mapped[account]:
                account.add(sub)

    def _export(self, importer: str, imported: Import) -> Export | None:
        exporter = self.specs.get(imported.account)
        return find_export(exporter, importer, imported) if exporter is not None else None

    def _open(self, importer: Account, imported: Import, export: Export) -> StreamImport | ServiceImport:
        exporter = self.router.account(imported.account)
        gate: StreamImport | ServiceImport
        if imported.service:
            gate = ServiceImport(importer, exporter, imported, export, self)
        else:
            gate = StreamImport(importer, exporter, imported)
        gate.open()
        return gate

    # ---- answers

    def responses(self, exporter: Account) -> Responses:
        owed = self.owed.get(exporter)
        if owed is None:
            owed = self.owed[exporter] = Responses(exporter, self)
        return owed

    def awaits(self, pending: Pending) -> None:
        account = pending.account
        if account not in self.watched:
            self.watched.add(account)
            account.interest_listeners.append(lambda sub, is_there: self._on_interest(account, sub, is_there))
        if self.next_deadline is None or pending.deadline < self.next_deadline:
            self.next_deadline = pending.deadline
            self.clock.wake()

    def deadline(self) -> int | None:
        return self.next_deadline

    def tick(self, now: int) -> None:
        for owed in self.owed.values():
            owed.expire(now)
        deadlines = (pending.deadline for owed in self.owed.values() for pending in owed.pending.values())
        self.next_deadline = min(deadlines, default=None)

    def _on_interest(self, account: Account, sub: Subscription, is_there: bool) -> None:
        if not is_there and not isinstance(sub.peer, Gate):
            for owed in self.owed.values():
                if owed.pending:
                    owed.lost_interest(account, sub.subject)
