-- A topic made anew begins again at offset 0: a loss that was accepted of the old one is none of the new one's.
ALTER TABLE accepted_gaps
    ADD COLUMN IF NOT EXISTS incarnation UInt32,
    MODIFY ORDER BY (cluster_id, topic, partition, from_offset, to_offset, incarnation);
