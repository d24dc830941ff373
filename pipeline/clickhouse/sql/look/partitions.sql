-- The progress of each partition that is there as far as is known, what its owner last reported, and whether the topic is
-- retired.
SELECT
    p.topic,
    p.partition,
    p.next_offset,
    p.mark,
    s.owner,
    s.status,
    s.log_end_offset,
    toUnixTimestamp64Milli(s.updated_at),
    p.is_retired
FROM
(
    -- include shared/progress.sql
) AS p
LEFT JOIN
    (SELECT * FROM partition_status FINAL WHERE cluster_id = {cluster_id:String}) AS s
    ON s.cluster_id = p.cluster_id AND s.topic = p.topic AND s.partition = p.partition
WHERE p.is_of_newest
ORDER BY p.topic, p.partition
