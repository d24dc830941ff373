-- Per partition the next offset that is stored, of the newest incarnation of the topic.
SELECT topic, partition, argMax(next, incarnation)
FROM
(
    SELECT topic, partition, incarnation, max(next_offset) AS next
    FROM partition_watermarks
    WHERE topic = {topic:String}
    GROUP BY topic, partition, incarnation
)
GROUP BY topic, partition
