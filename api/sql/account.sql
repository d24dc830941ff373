-- The key with this hash, for how many milliseconds it is still valid (NULL: for ever), and the tier of its organization
-- ('' where none is stored): one entry, or none.
SELECT
    {nonce:UInt64},
    groupArray((
        key.id,
        key.org_id,
        key.scopes,
        toUnixTimestamp64Milli(key.revoked_at),
        if(
            key.expires_at = toDateTime64(0, 3, 'UTC'),
            NULL,
            toUnixTimestamp64Milli(key.expires_at) - toUnixTimestamp64Milli(now64(3, 'UTC'))
        ),
        CAST(org.tier, 'String')
    ))
FROM (SELECT * FROM api_keys FINAL WHERE key_hash = {key_hash:String}) AS key
LEFT JOIN
(
    SELECT * FROM orgs FINAL
    WHERE org_id IN (SELECT org_id FROM api_keys WHERE key_hash = {key_hash:String})  -- not all: there may be many
) AS org ON org.org_id = key.org_id
