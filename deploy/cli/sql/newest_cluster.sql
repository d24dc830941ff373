-- The Kafka cluster of the topic that a worker last reported on; '' before the first report.
SELECT argMax(cluster_id, updated_at) FROM partition_status WHERE topic = {topic:String}
