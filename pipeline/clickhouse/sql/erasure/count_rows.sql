-- The numbers of facts and dead letters that an organization still has up to an instant.
SELECT
    (SELECT count() FROM facts
     WHERE org_id = {org:String} AND record_at <= fromUnixTimestamp64Milli({at_ms:Int64}, 'UTC')),
    (SELECT count() FROM dead_letters
     WHERE org_id = {org:String} AND record_at <= fromUnixTimestamp64Milli({at_ms:Int64}, 'UTC'))
