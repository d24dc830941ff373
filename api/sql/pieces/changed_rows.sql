-- Rows of an organization over [start, end): those that were computed at or after `since`, and all whose bucket starts at
-- or after `whole_from` (epoch seconds); the first `limit` of them. Only the key may be filtered before FINAL: by when it
-- was computed, an older version of a row would be taken for the newest.
FROM {table:Identifier} FINAL
PREWHERE org_id = {org_id:String}
  AND bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
WHERE toUnixTimestamp(computed_at) >= {since:Int64} OR toUnixTimestamp(bucket) >= {whole_from:Int64}
ORDER BY bucket
LIMIT {limit:UInt32}
SETTINGS optimize_move_to_prewhere_if_final = 0
