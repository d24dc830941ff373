-- The newest dead letters. Their bytes are personal data: only the beginning is shown.
SELECT
    topic,
    partition,
    offset,
    reason,
    detail,
    org_id,
    toUnixTimestamp64Milli(seen_at),
    length(value),
    toValidUTF8(substring(value, 1, {excerpt_bytes:UInt32}))
FROM dead_letters FINAL
WHERE seen_at > now64(3) - toIntervalHour(24)
ORDER BY dead_letters.seen_at DESC, topic, partition, offset DESC
LIMIT {limit:UInt32}
