-- The Kafka cluster of these topics that a worker last reported on; '' before the first report.
SELECT argMax(cluster_id, updated_at) FROM partition_status WHERE topic IN {topics:Array(String)}
