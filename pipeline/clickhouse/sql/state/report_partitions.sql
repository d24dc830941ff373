-- Reports where a worker stands in its partitions, a row for each; at this server's time, since its own may be wrong.
INSERT INTO partition_status (cluster_id, topic, partition, owner, status, next_offset, log_end_offset, updated_at)
SELECT {cluster_id:String}, place.1, place.2, {worker:String}, place.3, place.4, place.5, now64(3, 'UTC')
FROM
(
    SELECT arrayJoin({places:Array(Tuple(String, UInt32, String, UInt64, UInt64))}) AS place
)
