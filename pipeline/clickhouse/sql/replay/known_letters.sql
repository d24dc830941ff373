-- The number of these places (cluster, topic, partition, offset, incarnation) that have a dead letter already.
SELECT count()
FROM dead_letters FINAL
WHERE (cluster_id, topic, partition, offset, incarnation)
    IN {places:Array(Tuple(String, String, UInt32, UInt64, UInt32))}
