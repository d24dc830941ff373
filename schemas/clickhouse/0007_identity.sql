-- needs a stop: an older worker would count what this version tells apart as one.

-- Whoever knows less than `schema` ends before it claims or rolls; whoever needs more than `schema_done` has not begun.
ALTER TABLE watermark
    ADD COLUMN IF NOT EXISTS schema SimpleAggregateFunction(max, UInt32),
    ADD COLUMN IF NOT EXISTS schema_done SimpleAggregateFunction(max, UInt32);

INSERT INTO watermark (schema) VALUES (7);

-- A fact is (organization, type, event id, minute): many producers send a message and its delivery under one id.
-- `topic` is where it was read, '' for facts of before this migration.
REWRITE TABLE facts BY minute
(
    minute DateTime('UTC') MATERIALIZED toStartOfMinute(occurred_at, 'UTC'),
    org_id LowCardinality(String),
    event_id String,
    type Enum8('message.sent' = 1, 'message.delivered' = 2, 'message.failed' = 3, 'message.charged' = 4),
    channel LowCardinality(String),
    error_code LowCardinality(String),
    cost_cents Decimal(18, 6),
    occurred_at DateTime64(3, 'UTC'),
    record_at DateTime64(3, 'UTC'),
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    rank UInt32 MATERIALIZED xxHash32(toInt8(type), channel, error_code, cost_cents, occurred_at)
)
ENGINE = ReplacingMergeTree(rank)
PARTITION BY toYYYYMMDD(minute)
ORDER BY (minute, org_id, event_id, type)
TTL minute + toIntervalDay(35)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;

-- A topic made anew begins again at offset 0, and its letters hide none of the old one's: hence the incarnation.
-- `type` is '' where the record does not tell it. There are no partitions: a record's time is for its producer to choose,
-- and may be spread over more months than a statement can go through.
-- Letters of before count as those of the topic as it is now: a record of it that is read again finds its own letter.
REWRITE TABLE dead_letters BY seen_at
FILLING incarnation WITH
    (
        SELECT mapFromArrays(groupArray(toString((cluster_id, topic, partition))), groupArray(newest))
        FROM
        (
            SELECT cluster_id, topic, partition, max(incarnation) AS newest
            FROM partition_watermarks
            GROUP BY cluster_id, topic, partition
        )
    )[toString((cluster_id, topic, partition))]
FILLING type WITH
    if(JSONExtractString(value, 'type') IN ('message.sent', 'message.delivered', 'message.failed'),
       JSONExtractString(value, 'type'), '')
(
    cluster_id String,
    topic String,
    partition UInt32,
    offset UInt64,
    incarnation UInt32,
    reason LowCardinality(String),
    detail String,
    org_id String,
    type LowCardinality(String),
    event_id String,
    occurred_at DateTime64(3, 'UTC'),
    record_at DateTime64(3, 'UTC'),
    key String,
    has_key UInt8,
    value String,
    has_value UInt8,
    headers Nested(name String, value String, is_null UInt8),
    seen_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (cluster_id, topic, partition, offset, incarnation)
TTL toDateTime(seen_at, 'UTC') + toIntervalDay(90)
SETTINGS non_replicated_deduplication_window = 0;

-- By the id that Kafka gives a topic it is known to be made anew, also where it has outgrown the old one. It is '' where
-- nobody tells it. A replay that was interrupted does not go on in another topic.
ALTER TABLE partition_watermarks
    ADD COLUMN IF NOT EXISTS topic_id SimpleAggregateFunction(max, String);

ALTER TABLE replays
    ADD COLUMN IF NOT EXISTS incarnation SimpleAggregateFunction(max, UInt32);

ALTER TABLE redrives
    ADD COLUMN IF NOT EXISTS incarnation UInt32,
    MODIFY ORDER BY (cluster_id, topic, partition, offset, incarnation);

-- Marks follow their letters. Those under 0 stay, and mark nothing; run twice, this adds nothing.
INSERT INTO redrives (cluster_id, topic, partition, offset, incarnation, redriven_at)
SELECT r.cluster_id, r.topic, r.partition, r.offset, p.newest, r.redriven_at
FROM redrives AS r
INNER JOIN
(
    SELECT cluster_id, topic, partition, max(incarnation) AS newest
    FROM partition_watermarks
    GROUP BY cluster_id, topic, partition
    HAVING newest > 0
) AS p ON p.cluster_id = r.cluster_id AND p.topic = r.topic AND p.partition = r.partition
WHERE r.incarnation = 0
  AND (r.cluster_id, r.topic, r.partition, r.offset) NOT IN
      (SELECT cluster_id, topic, partition, offset FROM redrives WHERE incarnation > 0);

ALTER TABLE replay_keys
    ADD COLUMN IF NOT EXISTS type Int8,
    MODIFY ORDER BY (batch, minute, org_id, event_id, type);

-- How many charges a number contains.
ALTER TABLE rollup_minute
    ADD COLUMN IF NOT EXISTS charged UInt64 AFTER failed,
    ADD COLUMN IF NOT EXISTS groups.charged Array(UInt64) AFTER groups.failed;

ALTER TABLE rollup_hour
    ADD COLUMN IF NOT EXISTS charged UInt64 AFTER failed,
    ADD COLUMN IF NOT EXISTS groups.charged Array(UInt64) AFTER groups.failed;

ALTER TABLE rollup_day
    ADD COLUMN IF NOT EXISTS charged UInt64 AFTER failed,
    ADD COLUMN IF NOT EXISTS groups.charged Array(UInt64) AFTER groups.failed;

-- Which consumer group a worker belongs to; and the time of a report is the database's.
ALTER TABLE worker_status
    ADD COLUMN IF NOT EXISTS group LowCardinality(String) AFTER worker,
    MODIFY COLUMN updated_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC');

-- When an erasure was ordered, by the database's clock; `at` may lie ahead of it. For those of before, of which it is not
-- known, their newest announcement stands for it.
ALTER TABLE erasures
    ADD COLUMN IF NOT EXISTS ordered_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) AFTER at;

INSERT INTO erasures (org_id, ordered_at)
SELECT org_id, max(announced) FROM erasures GROUP BY org_id HAVING max(ordered_at) = toDateTime64(0, 3, 'UTC');

INSERT INTO watermark (schema_done) VALUES (7);
