-- API keys without the keys themselves, oldest first; of one organization, or of all where it is ''.
SELECT
    id, prefix, org_id, scopes,
    toUnixTimestamp64Milli(created_at), toUnixTimestamp64Milli(expires_at), toUnixTimestamp64Milli(revoked_at)
FROM api_keys FINAL
WHERE {org:String} = '' OR org_id = {org:String}
ORDER BY created_at, id
