-- Writes a key once more, with the time of its revocation; the newer row replaces the older.
INSERT INTO api_keys (key_hash, id, prefix, org_id, scopes, created_at, expires_at, revoked_at)
SELECT
    key_hash, id, prefix, org_id, scopes, created_at, expires_at,
    now64(3, 'UTC')
FROM api_keys FINAL
WHERE id = {id:String}
