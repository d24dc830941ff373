-- Progress of each partition of a Kafka cluster. A topic is retired where nothing has moved since that was written.
SELECT
    topic,
    partition,
    life,
    next_offset,
    mark,
    topic_id,
    had,
    is_of_newest,
    moved,
    (topic, moved) IN
    (
        SELECT topic, max(moved)
        FROM retired_topics
        WHERE cluster_id = {cluster_id:String}
        GROUP BY topic
    )
FROM
(
    -- include shared/progress.sql
)
