-- Dead letters, newest last, with whether they were redriven, and whether their event is a fact by now.
SELECT
    l.topic,
    l.partition,
    l.offset,
    l.reason,
    l.detail,
    l.org_id,
    l.event_id,
    l.type,
    l.incarnation,
    toUnixTimestamp64Milli(l.occurred_at),
    toUnixTimestamp64Milli(l.record_at),
    toUnixTimestamp64Milli(l.seen_at),
    base64Encode(l.key),
    l.has_key,
    base64Encode(l.value),
    l.has_value,
    arrayMap(name -> base64Encode(name), l.headers.name),
    arrayMap(value -> base64Encode(value), l.headers.value),
    l.headers.is_null,
    r.times,
    l.event_id != '' AND l.type != '' AND (l.org_id, l.event_id, l.type) IN
    (
        SELECT org_id, event_id, type::String
        FROM facts
        WHERE (org_id, event_id) IN
        (
            SELECT org_id, event_id
            FROM dead_letters
            WHERE event_id != '' AND ({topic:String} = '' OR topic = {topic:String}) AND cluster_id = {cluster_id:String}
              AND record_at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
              AND record_at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
        )
    )
FROM (SELECT * FROM dead_letters FINAL) AS l
LEFT JOIN
(
    SELECT cluster_id, topic, partition, offset, incarnation, count() AS times
    FROM redrives
    WHERE ({topic:String} = '' OR topic = {topic:String}) AND cluster_id = {cluster_id:String}
    GROUP BY cluster_id, topic, partition, offset, incarnation
) AS r ON r.cluster_id = l.cluster_id AND r.topic = l.topic AND r.partition = l.partition AND r.offset = l.offset
    AND r.incarnation = l.incarnation
WHERE ({topic:String} = '' OR l.topic = {topic:String}) AND l.cluster_id = {cluster_id:String}
  AND ({reason:String} = '' OR l.reason = {reason:String})
  AND ({org:String} = '' OR l.org_id = {org:String})
  AND l.record_at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
  AND l.record_at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
  AND ({partition:Int64} < 0 OR (l.partition = {partition:Int64} AND l.offset = {offset:Int64}))
ORDER BY l.seen_at, l.topic, l.partition, l.offset, l.incarnation
LIMIT {limit:UInt64}
