-- How many facts and dead letters of an organization are left up to an instant.
SELECT
    (SELECT count() FROM facts
     WHERE org_id = {org:String} AND record_at <= fromUnixTimestamp64Milli({at_ms:Int64}, 'UTC'))
  + (SELECT count() FROM dead_letters
     WHERE org_id = {org:String} AND record_at <= fromUnixTimestamp64Milli({at_ms:Int64}, 'UTC'))
