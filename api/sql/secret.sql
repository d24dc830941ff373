SELECT {nonce:UInt64}, groupArray(value)
FROM (SELECT value FROM secrets WHERE name = {name:String} ORDER BY created_at, value LIMIT 1)
