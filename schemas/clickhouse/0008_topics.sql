-- How many partitions a topic had when the reading of one of them began: they hold as_of while it is missing from Kafka's
-- metadata. When that was: it takes back that the topic was retired.
ALTER TABLE partition_watermarks
    ADD COLUMN IF NOT EXISTS partitions SimpleAggregateFunction(max, UInt32),
    ADD COLUMN IF NOT EXISTS started_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'));

-- Topics that nobody reads any more, so that they do not hold as_of. `moved` is the sum of all progress of the topic, which
-- only rises: where it has risen since, somebody reads the topic, and it holds as before.
CREATE TABLE retired_topics
(
    cluster_id String,
    topic String,
    moved SimpleAggregateFunction(max, UInt64),
    retired_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) DEFAULT now64(3, 'UTC')
)
ENGINE = AggregatingMergeTree
ORDER BY (cluster_id, topic);

-- So far only the one topic that a worker was given held as_of: all others are retired. `listed` is the list of today.
INSERT INTO retired_topics (cluster_id, topic, moved)
SELECT
    cluster_id,
    topic,
    sum(next_offset + toUInt64(toUnixTimestamp64Milli(watermark)) + toUInt64(toUnixTimestamp64Milli(started_at)))
FROM partition_watermarks FINAL
WHERE notEmpty({listed:Array(String)}) AND NOT has({listed:Array(String)}, topic)
GROUP BY cluster_id, topic;

INSERT INTO watermark (schema_done) VALUES (8);
