-- The hashes of the keys written since an instant, 32 bytes each, in ascending order; and ClickHouse's now before it read.
SELECT {nonce:UInt64}, toUnixTimestamp64Milli(now64(3)), arrayStringConcat(groupArray(unhex(key_hash)))
FROM
(
    SELECT key_hash FROM api_keys
    WHERE updated_at >= fromUnixTimestamp64Milli({since_ms:Int64}) AND length(key_hash) = 64
    ORDER BY key_hash
)
