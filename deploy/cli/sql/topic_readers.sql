-- The workers that reported on partitions of a topic recently.
SELECT topic, arraySort(groupUniqArray(owner))
FROM partition_status FINAL
WHERE cluster_id = {cluster_id:String} AND updated_at > now64(3) - toIntervalSecond({seconds:UInt32})
GROUP BY topic
