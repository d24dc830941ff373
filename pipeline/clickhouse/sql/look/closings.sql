-- The newest spans of time that a roller closed.
SELECT
    toUnixTimestamp64Milli(closed_from),
    toUnixTimestamp64Milli(closed_to),
    generation,
    worker,
    duration_ms,
    toUnixTimestamp64Milli(closed_at)
FROM closings
ORDER BY closings.closed_at DESC
LIMIT {limit:UInt32}
