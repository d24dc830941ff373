-- The newest record time (epoch milliseconds) of an organization's facts and dead letters, 0 where it has none.
SELECT greatest(
    (SELECT toUnixTimestamp64Milli(max(record_at)) FROM facts WHERE org_id = {org:String}),
    (SELECT toUnixTimestamp64Milli(max(record_at)) FROM dead_letters WHERE org_id = {org:String}),
    0)
