-- The number of these places (cluster, topic, partition, offset) that have a dead letter already.
SELECT count()
FROM dead_letters FINAL
WHERE (cluster_id, topic, partition, offset) IN {places:Array(Tuple(String, String, UInt32, UInt64))}
