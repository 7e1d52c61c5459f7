"""What is behind the monitoring port, put together.  Imported only where one is configured."""

from typing import TYPE_CHECKING

from edge.monitor.endpoints import LINKS, Endpoints, indented
from edge.monitor.figures import Instruments
from edge.monitor.site import HTML, Site
from edge.net.http import HttpListener
from edge.protocol.http import Response

if TYPE_CHECKING:
    from edge.daemon import Daemon
    from edge.downlink.commands import Commands
    from edge.monitor.documents import ServerDocuments
    from edge.monitor.sensors import Sensors
    from edge.net.mqtt import MqttListener
    from edge.storage import Storage

NO_STORE = (("Cache-Control", "no-store"),)
OURS = {"/uplinkz": "Uplinks", "/commandz": "Commands", "/metrics": "Prometheus"}


class Monitoring:
    """Documents, figures and the page of one server."""

    def __init__(self, daemon: "Daemon", documents: "ServerDocuments") -> None:
        self.daemon = daemon
        self.documents = documents
        storage = daemon.storage
        self.sensors = _sensors(storage) if storage else None
        self.instruments = Instruments(
            documents.stamp, daemon.router, daemon.clients, self._mqtt,
            storage.store if storage else None, storage.jetstream if storage else None, self._report,
            self._counts,
        )  # fmt: skip
        self.base = daemon.config.http_base_path

    def listener(self) -> HttpListener:
        endpoints = Endpoints(self.documents.by_path, self.documents.http_requests)
        views = {"/": self._page, "/metrics": self._metrics, "/uplinkz": self._uplinkz, "/commandz": self._commandz}
        return HttpListener(Site(self.base, endpoints, views).answer, self.daemon.encryption("https"))

    # ---- ours

    def _metrics(self) -> Response:
        from edge.monitor.metrics import CONTENT_TYPE, exposition

        return Response(200, CONTENT_TYPE, exposition(self.instruments.read()), NO_STORE)

    def _uplinkz(self) -> Response:
        """As ``petiole.<edge>.status`` answers; without a hub there are no uplinks, and no link."""
        report = self._report() or {"edge": self.daemon.server_name, "leaf": None, "uplinks": {}}
        return Response(200, "application/json", indented(report), NO_STORE)

    def _commandz(self) -> Response:
        """As ``petiole.<edge>.commands`` answers; where commands are not configured there are none."""
        commands = self._commands()
        report = commands.report() if commands is not None else {"edge": self.daemon.server_name, "commands": []}
        return Response(200, "application/json", indented(report), NO_STORE)

    def _page(self) -> Response:
        from edge.monitor.page import HEADERS, View, render

        self.documents.http_requests["/"] = self.documents.http_requests.get("/", 0) + 1
        view = View(
            self.instruments.read(),
            self._health(),
            self.sensors.look() if self.sensors else [],
            list(self.instruments.clients()),
            self._links(),
        )
        return Response(200, HTML, render(view), HEADERS)

    def _health(self) -> str:
        fields = self.documents.by_path["healthz"]({})
        return "" if fields.get("status") == "ok" else str(fields.get("error") or fields.get("status"))

    def _links(self) -> dict[str, str]:
        """Relative, so that they hold behind a proxy too."""
        beside = f"{self.base.rpartition('/')[2]}/" if self.base else ""
        return {f"{beside}{path[1:]}": name for path, name in (OURS | LINKS).items()}

    # ---- what is not there, or not yet

    def _mqtt(self) -> "MqttListener | None":
        return self.daemon.mqtt

    def _commands(self) -> "Commands | None":
        hubs = self.daemon.hubs
        return hubs.downlink.commands if hubs is not None and hubs.downlink is not None else None

    def _counts(self) -> dict[str, dict[str, int]] | None:
        commands = self._commands()
        return commands.counts() if commands is not None else None

    def _report(self) -> dict[str, object] | None:
        hubs = self.daemon.hubs
        return hubs.status.report() if hubs is not None and hubs.status is not None else None


def _sensors(storage: "Storage") -> "Sensors":
    from edge.monitor.sensors import Sensors

    return Sensors(storage.jetstream)
