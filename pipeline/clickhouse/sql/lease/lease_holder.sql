-- The earliest claim that is not over: its holder, what it does, and how many seconds it may still last.
SELECT holder, command, dateDiff('second', now64(6, 'UTC'), expires_at)
FROM leases FINAL
WHERE expires_at > now64(6, 'UTC')
ORDER BY claimed_at, holder
LIMIT 1
