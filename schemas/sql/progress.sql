-- Progress of the newest incarnation of each partition: a topic made anew begins again at offset 0. Of one Kafka cluster,
-- or of all ('').
--   had           how many partitions the topic had in its newest life; 0 where Kafka gave it no id, by which it would be
--                 known to be made anew
--   is_of_newest  the partition was begun in that life, as far as ids tell: others are not there any more
--   moved         all progress of the topic in one number, which any of it raises
--   is_retired    nothing of the topic has moved since it was retired
SELECT
    cluster_id,
    topic,
    partition,
    life,
    next_offset,
    mark,
    topic_id,
    max(if(topic_id != '' AND topic_id = newest_id, partitions, 0)) OVER of_topic AS had,
    topic_id IN ('', newest_id) AS is_of_newest,
    moved,
    (cluster_id, topic, moved) IN
    (
        SELECT cluster_id, topic, max(moved)
        FROM retired_topics
        GROUP BY cluster_id, topic
    ) AS is_retired
FROM
(
    SELECT
        *,
        argMax(topic_id, (topic_id != '', life, started)) OVER of_topic AS newest_id,
        sum(moved_here) OVER of_topic AS moved
    FROM
    (
        SELECT
            cluster_id,
            topic,
            partition,
            max(incarnation) AS life,
            argMax(lives.next_offset, incarnation) AS next_offset,
            toUnixTimestamp64Milli(argMax(watermark, incarnation)) AS mark,
            argMax(lives.topic_id, incarnation) AS topic_id,
            argMax(lives.partitions, incarnation) AS partitions,
            argMax(lives.started, incarnation) AS started,
            sum(moved) AS moved_here
        FROM
        (
            SELECT
                cluster_id,
                topic,
                partition,
                incarnation,
                max(next_offset) AS next_offset,
                max(watermark) AS watermark,
                max(topic_id) AS topic_id,
                max(partitions) AS partitions,
                max(started_at) AS started,
                next_offset + toUInt64(toUnixTimestamp64Milli(watermark)) + toUInt64(toUnixTimestamp64Milli(started))
                    AS moved
            FROM partition_watermarks
            WHERE {cluster_id:String} IN ('', cluster_id)
            GROUP BY cluster_id, topic, partition, incarnation
        ) AS lives
        GROUP BY cluster_id, topic, partition
    )
    WINDOW of_topic AS (PARTITION BY cluster_id, topic)
)
WINDOW of_topic AS (PARTITION BY cluster_id, topic)
