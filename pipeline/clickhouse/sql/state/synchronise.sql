-- Has every server of the cluster write to the coordination service (see the view), which is done before it answers. One
-- that cannot be reached within a second is left out.
SELECT server, number
FROM synchronised
SETTINGS
    skip_unavailable_shards = 1,
    connections_with_failover_max_tries = 1,
    handshake_timeout_ms = 1000,
    max_autoincrement_series = 1000000
