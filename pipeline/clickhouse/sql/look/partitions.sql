-- The progress of each partition, and what its owner last reported.
SELECT
    p.topic,
    p.partition,
    p.next_offset,
    p.mark,
    s.owner,
    s.status,
    s.log_end_offset,
    toUnixTimestamp64Milli(s.updated_at)
FROM
(
    SELECT
        cluster_id,
        topic,
        partition,
        argMax(next_offset, incarnation) AS next_offset,
        argMax(mark, incarnation) AS mark
    FROM
    (
        SELECT
            cluster_id,
            topic,
            partition,
            incarnation,
            max(next_offset) AS next_offset,
            toUnixTimestamp64Milli(max(watermark)) AS mark
        FROM partition_watermarks
        WHERE cluster_id = {cluster_id:String} AND topic = {topic:String}
        GROUP BY cluster_id, topic, partition, incarnation
    )
    GROUP BY cluster_id, topic, partition
) AS p
LEFT JOIN
    (SELECT * FROM partition_status FINAL WHERE cluster_id = {cluster_id:String} AND topic = {topic:String}) AS s
    ON s.cluster_id = p.cluster_id AND s.topic = p.topic AND s.partition = p.partition
ORDER BY p.partition
