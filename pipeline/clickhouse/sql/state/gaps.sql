-- Accepted gaps of the newest incarnation of each partition: a topic made anew inherits none.
SELECT topic, partition, from_offset, to_offset
FROM
(
    SELECT topic, partition, incarnation, from_offset, to_offset
    FROM accepted_gaps FINAL
    WHERE cluster_id = {cluster_id:String} AND topic = {topic:String}
)
LEFT JOIN
(
    SELECT topic, partition, max(incarnation) AS newest
    FROM partition_watermarks
    WHERE cluster_id = {cluster_id:String} AND topic = {topic:String}
    GROUP BY topic, partition
)
USING (topic, partition)
WHERE incarnation = newest
