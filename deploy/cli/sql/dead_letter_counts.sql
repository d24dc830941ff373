-- Dead letters by reason: their number, and how many of them were redriven.
SELECT
    reason,
    count(),
    countIf((cluster_id, topic, partition, offset, incarnation) IN
    (
        SELECT cluster_id, topic, partition, offset, incarnation
        FROM redrives
        WHERE ({topic:String} = '' OR topic = {topic:String}) AND cluster_id = {cluster_id:String}
    ))
FROM dead_letters FINAL
WHERE ({topic:String} = '' OR topic = {topic:String}) AND cluster_id = {cluster_id:String}
  AND ({org:String} = '' OR org_id = {org:String})
  AND record_at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
  AND record_at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
GROUP BY reason
ORDER BY reason
