"""Store and forward: what is captured here reaches the hub's stream exactly once, across any partition."""
