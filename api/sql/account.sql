-- The key with this hash, and the tier of its organization ('' where none is stored): one entry, or none.
SELECT
    {nonce:UInt64},
    groupArray((
        key.id,
        key.org_id,
        key.scopes,
        toUnixTimestamp64Milli(key.revoked_at),
        toUnixTimestamp64Milli(key.expires_at),
        CAST(org.tier, 'String')
    ))
FROM (SELECT * FROM api_keys FINAL WHERE key_hash = {key_hash:String}) AS key
LEFT JOIN
(
    SELECT * FROM orgs FINAL
    WHERE org_id IN (SELECT org_id FROM api_keys WHERE key_hash = {key_hash:String})  -- not all: there may be many
) AS org ON org.org_id = key.org_id
