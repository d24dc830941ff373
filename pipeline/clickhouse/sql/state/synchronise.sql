-- Has every server of the cluster write to the coordination service (see the view), which is done before it answers. One
-- that is away says nothing, and is asked by nobody else either.
SELECT server, number
FROM synchronised
SETTINGS skip_unavailable_shards = 1, connections_with_failover_max_tries = 1
