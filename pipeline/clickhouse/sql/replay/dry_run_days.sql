-- The days (their starts in epoch seconds) on which a dry run met identities.
SELECT DISTINCT toUnixTimestamp(toStartOfDay(minute, 'UTC')) AS day
FROM replay_keys
WHERE batch = {batch:UUID}
ORDER BY day
