"""What this server says of itself in INFO (reference: core.md section 1)."""

import sys
from typing import NamedTuple

NATS_LEVEL = "2.12.0"  # clients gate features on it: the nats-server whose client protocol is spoken here
API_LEVEL = 0  # of the JetStream API; raised as features of a level are all there


class ServerInfo(NamedTuple):
    server_id: str
    server_name: str
    host: str
    port: int
    max_payload: int
    auth_required: bool
    jetstream: bool
    domain: str

    def fields(self, cid: int, ip: str) -> dict[str, object]:
        """The fresh INFO for one client."""
        fields: dict[str, object] = {
            "server_id": self.server_id,
            "server_name": self.server_name,
            "version": NATS_LEVEL,
            "proto": 1,
            "go": "python{}.{}.{}".format(*sys.version_info),
            "host": self.host,
            "port": self.port,
            "headers": True,
            "max_payload": self.max_payload,
            "client_id": cid,
            "client_ip": ip,
            "api_lvl": API_LEVEL,
        }
        if self.auth_required:
            fields["auth_required"] = True
        if self.jetstream:
            fields["jetstream"] = True
        if self.domain:
            fields["domain"] = self.domain
        return fields
