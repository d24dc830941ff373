-- The closings that closed an instant (epoch seconds).
SELECT
    toUnixTimestamp64Milli(closed_from), toUnixTimestamp64Milli(closed_to), worker, duration_ms,
    toUnixTimestamp64Milli(closed_at)
FROM closings
WHERE closed_from < toDateTime64({instant:UInt32}, 3, 'UTC') AND closed_to >= toDateTime64({instant:UInt32}, 3, 'UTC')
ORDER BY closed_at
LIMIT 10
