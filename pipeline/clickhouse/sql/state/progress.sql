-- Progress of each partition of a Kafka cluster.
SELECT * EXCEPT (cluster_id)
FROM
(
    -- include shared/progress.sql
)
