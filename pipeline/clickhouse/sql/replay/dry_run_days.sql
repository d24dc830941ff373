-- The days (their starts in epoch seconds) of the identities that a dry run met.
SELECT DISTINCT toUnixTimestamp(toStartOfDay(minute, 'UTC')) AS day
FROM replay_keys
WHERE batch = {batch:UUID}
ORDER BY day
