-- Deletions of a table that are known by a mark: the end of each one's own mark, on how many servers it is done, on how
-- many it must be, and why it failed if it did.
SELECT extract(command, concat({mark:String}, '([0-9a-f-]+)')) AS id, toUInt64(is_done), toUInt64(1), latest_fail_reason
FROM system.mutations
WHERE database = currentDatabase() AND table = {table:String} AND position(command, {mark:String}) > 0
