-- Claims a lease, renews it (claimed_at stays) or gives it back (seconds = 0).
INSERT INTO leases (holder, command, claimed_at, expires_at, version)
SELECT
    {holder:String},
    {command:String},
    if(min(claimed_at) = toDateTime64(0, 6, 'UTC'), now64(6, 'UTC'), min(claimed_at)),
    addSeconds(now64(6, 'UTC'), {seconds:Int64}),
    max(version) + 1 -- no count: a merge leaves one row of many
FROM leases
WHERE holder = {holder:String}
