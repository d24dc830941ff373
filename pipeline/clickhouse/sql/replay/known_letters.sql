-- How many of these places (partition, offset) have a dead letter already.
SELECT count()
FROM dead_letters FINAL
WHERE cluster_id = {cluster_id:String} AND topic = {topic:String}
  AND (partition, offset) IN {places:Array(Tuple(UInt32, UInt64))}
