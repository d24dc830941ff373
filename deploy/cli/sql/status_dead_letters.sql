-- Dead letters of the last hours by reason.
SELECT reason, count()
FROM dead_letters FINAL
WHERE seen_at > now64(3) - toIntervalHour({hours:UInt32})
GROUP BY reason
ORDER BY reason
