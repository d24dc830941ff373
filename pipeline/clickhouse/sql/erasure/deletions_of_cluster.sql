-- The same of a cluster. A server that is away says nothing, and so has not done it.
SELECT
    extract(command, concat({mark:String}, '([0-9a-f-]+)')) AS id,
    uniqExactIf(server, is_done),
    max(servers),
    max(latest_fail_reason)
FROM mutations
WHERE database = currentDatabase() AND table = {table:String} AND position(command, {mark:String}) > 0
GROUP BY id
SETTINGS skip_unavailable_shards = 1
