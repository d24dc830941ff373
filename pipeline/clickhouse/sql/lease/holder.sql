-- The earliest claim that has not expired: its holder, the command, and the seconds until it expires.
SELECT holder, command, dateDiff('second', now64(6, 'UTC'), expires_at)
FROM leases FINAL
WHERE expires_at > now64(6, 'UTC')
ORDER BY claimed_at, holder
LIMIT 1
