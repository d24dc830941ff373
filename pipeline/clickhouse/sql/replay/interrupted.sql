-- The newest unfinished replay of a span: for each of its partitions the progress, the end and the incarnation.
WITH
    progress AS
    (
        SELECT
            replay,
            topic,
            partition,
            max(next_offset) AS reached,
            max(end_offset) AS ends,
            min(started_at) AS started,
            max(incarnation) AS life
        FROM replays
        WHERE cluster_id = {cluster_id:String}
          AND from_ms = {from_ms:Int64} AND to_ms = {to_ms:Int64}
        GROUP BY replay, topic, partition
    ),
    newest AS
    (
        SELECT replay FROM progress GROUP BY replay HAVING max(reached < ends) ORDER BY min(started) DESC LIMIT 1
    )
SELECT replay, topic, partition, reached, ends, life
FROM progress
WHERE replay IN (SELECT replay FROM newest)
ORDER BY topic, partition
