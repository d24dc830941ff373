-- Offsets that were lost unread, and that an operator accepted as lost.
SELECT partition, from_offset, to_offset, toUnixTimestamp64Milli(accepted_at)
FROM accepted_gaps FINAL
WHERE topic = {topic:String} AND cluster_id = {cluster_id:String}
ORDER BY partition, from_offset
