-- Stores progress, a row for each place. No watermark gets ahead of this server's clock less `lateness` (milliseconds):
-- one that did would stay so until the time has come.
INSERT INTO partition_watermarks (cluster_id, topic, partition, incarnation, topic_id, watermark, next_offset)
SELECT
    {cluster_id:String},
    place.1,
    place.2,
    place.3,
    place.4,
    least(
        fromUnixTimestamp64Milli(place.5, 'UTC'),
        now64(3, 'UTC') - toIntervalMillisecond({lateness:UInt64})
    ),
    place.6
FROM
(
    SELECT arrayJoin({places:Array(Tuple(String, UInt32, UInt32, String, Int64, UInt64))}) AS place
)
