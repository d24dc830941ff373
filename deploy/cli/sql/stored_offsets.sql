-- Per Kafka cluster and partition of the topic the next offset that is stored, of the newest incarnation.
SELECT cluster_id, topic, partition, argMax(next, incarnation)
FROM
(
    SELECT cluster_id, topic, partition, incarnation, max(next_offset) AS next
    FROM partition_watermarks
    WHERE topic = {topic:String}
    GROUP BY cluster_id, topic, partition, incarnation
)
GROUP BY cluster_id, topic, partition
