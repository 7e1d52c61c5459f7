"""What this server says of itself in INFO (reference: core.md section 1)."""

import sys
from typing import NamedTuple

from edge.version import API_LEVEL, NATS_LEVEL

__all__ = ["API_LEVEL", "NATS_LEVEL", "ServerInfo"]


class ServerInfo(NamedTuple):
    server_id: str
    server_name: str
    host: str
    port: int
    max_payload: int
    auth_required: bool
    jetstream: bool
    domain: str
    tls_required: bool = False
    tls_verify: bool = False
    tls_available: bool = False
    xkey: str = ""

    def fields(
        self, cid: int, ip: str, nonce: str = "", more: dict[str, object] | None = None
    ) -> dict[str, object]:
        """INFO for one client in nats-server's order; ``more`` is what this INFO says besides."""
        fields: dict[str, object] = {
            "server_id": self.server_id,
            "server_name": self.server_name,
            "version": NATS_LEVEL,
            "proto": 1,
            "go": "python{}.{}.{}".format(*sys.version_info),
            "host": self.host,
            "port": self.port,
            "headers": True,
        }
        for name in ("auth_required", "tls_required", "tls_verify", "tls_available"):
            if getattr(self, name):
                fields[name] = True
        fields["max_payload"] = self.max_payload
        if self.jetstream:
            fields["jetstream"] = True
        fields["client_id"] = cid
        if ip:
            fields["client_ip"] = ip
        if nonce:
            fields["nonce"] = nonce
        if self.domain:
            fields["domain"] = self.domain
        if self.xkey:
            fields["xkey"] = self.xkey
        return fields | (more or {}) | {"api_lvl": API_LEVEL}
