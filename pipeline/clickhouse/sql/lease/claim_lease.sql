-- Claims, renews (the same claimed_at) or gives back (no seconds) a lease.
INSERT INTO leases (holder, command, claimed_at, expires_at, version)
SELECT
    {holder:String},
    {command:String},
    if(min(claimed_at) = toDateTime64(0, 6, 'UTC'), now64(6, 'UTC'), min(claimed_at)),
    addSeconds(now64(6, 'UTC'), {seconds:Int64}),
    count() + 1
FROM leases
WHERE holder = {holder:String}
