-- The next offset that is stored of each partition that is there as far as is known, of all Kafka clusters ('').
SELECT cluster_id, topic, partition, next_offset
FROM
(
    -- include shared/progress.sql
)
WHERE is_of_newest
