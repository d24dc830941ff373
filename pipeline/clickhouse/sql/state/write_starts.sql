-- Stores that the reading of partitions begins, a row for each place, with the offset of a first reading. Each start is
-- later than all of before, also where this server's clock was set back: it takes back that the topic was retired.
INSERT INTO partition_watermarks (cluster_id, topic, partition, incarnation, topic_id, next_offset, partitions, started_at)
SELECT
    {cluster_id:String},
    place.1,
    place.2,
    place.3,
    place.4,
    place.5,
    place.6,
    greatest(now64(3, 'UTC'), newest + toIntervalMillisecond(1))
FROM
(
    SELECT arrayJoin({places:Array(Tuple(String, UInt32, UInt32, String, UInt64, UInt32))}) AS place
) AS starts
CROSS JOIN
(
    SELECT max(started_at) AS newest FROM partition_watermarks WHERE cluster_id = {cluster_id:String}
) AS before
