-- Dead letters of the last day by reason.
SELECT reason, count(), toUnixTimestamp64Milli(max(seen_at))
FROM dead_letters FINAL
WHERE seen_at > now64(3) - toIntervalHour(24)
GROUP BY reason
ORDER BY count() DESC, reason
