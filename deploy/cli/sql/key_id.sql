-- The id of the key that has a hash.
SELECT id FROM api_keys WHERE key_hash = {hash:String} LIMIT 1
