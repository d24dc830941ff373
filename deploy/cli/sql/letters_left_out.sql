-- Per Kafka cluster the dead letters of a choice, with those that have no time, and the number of the latter.
SELECT cluster_id, count(), countIf(record_at = fromUnixTimestamp64Milli(0, 'UTC'))
FROM dead_letters FINAL
WHERE ({topic:String} = '' OR topic = {topic:String})
  AND ({reason:String} = '' OR reason = {reason:String})
  AND ({org:String} = '' OR org_id = {org:String})
  AND (record_at = fromUnixTimestamp64Milli(0, 'UTC')
       OR (record_at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
           AND record_at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')))
GROUP BY cluster_id
ORDER BY count() DESC, cluster_id
