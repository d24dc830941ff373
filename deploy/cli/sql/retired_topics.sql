-- When topics of a Kafka cluster were retired last, in epoch milliseconds; look/partitions tells of which that still holds.
SELECT topic, toUnixTimestamp64Milli(max(retired_at))
FROM retired_topics
WHERE cluster_id = {cluster_id:String}
GROUP BY topic
