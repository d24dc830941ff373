-- Losses that operators have accepted, and when, of the newest incarnation of each partition: a topic made anew inherits
-- none.
SELECT g.topic, g.partition, g.from_offset, g.to_offset, toUnixTimestamp64Milli(g.accepted_at)
FROM
(
    SELECT topic, partition, incarnation, from_offset, to_offset, accepted_at
    FROM accepted_gaps FINAL
    WHERE cluster_id = {cluster_id:String}
) AS g
LEFT JOIN
(
    SELECT topic, partition, max(incarnation) AS newest
    FROM partition_watermarks
    WHERE cluster_id = {cluster_id:String}
    GROUP BY topic, partition
) AS p ON p.topic = g.topic AND p.partition = g.partition
WHERE g.incarnation = p.newest
ORDER BY g.topic, g.partition, g.from_offset
