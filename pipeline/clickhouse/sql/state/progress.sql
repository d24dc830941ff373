-- Progress of the newest incarnation of each partition: a topic made anew begins again at offset 0.
SELECT
    topic,
    partition,
    max(incarnation) AS newest,
    argMax(next_offset, incarnation),
    toUnixTimestamp64Milli(argMax(watermark, incarnation)),
    argMax(topic_id, incarnation)
FROM
(
    SELECT
        topic, partition, incarnation,
        max(next_offset) AS next_offset, max(watermark) AS watermark, max(topic_id) AS topic_id
    FROM partition_watermarks
    WHERE cluster_id = {cluster_id:String} AND topic = {topic:String}
    GROUP BY topic, partition, incarnation
)
GROUP BY topic, partition
