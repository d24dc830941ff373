-- A row of a rollup: its numbers, when it was computed, from how many facts, and under which stamp.
SELECT sent, delivered, failed, charged, cost_cents, facts, generation, toUnixTimestamp64Milli(computed_at)
FROM {table:Identifier} FINAL
WHERE org_id = {org:String} AND bucket = toDateTime({bucket:UInt32}, 'UTC')
