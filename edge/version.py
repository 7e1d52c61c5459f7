"""The version of this package; ``pyproject.toml`` reads it from here."""

VERSION = "0.1.0"

NATS_LEVEL = "2.15.1"  # clients and hubs gate features on it: the nats-server whose protocols are spoken here
API_LEVEL = 5  # of the JetStream API (ADR-44)
