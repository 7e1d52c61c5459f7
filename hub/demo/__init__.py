"""The whole product on one machine and one terminal: hub, edge, devices, a cut, a kill, and the count."""
