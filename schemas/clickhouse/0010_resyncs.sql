-- When numbers of an organization (of all: '') changed without a row of a rollup being computed: an erasure, a restored
-- backup, a clock that fell. Whoever asks since before that what has changed is given every bucket.
CREATE TABLE resyncs
(
    org_id String,
    at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY org_id;

-- The rollups may be new themselves, as after a restore of the facts alone.
INSERT INTO resyncs (org_id, at)
SELECT '', greatest(now64(3, 'UTC'), max(as_of)) FROM watermark;

INSERT INTO watermark (schema_done) VALUES (10);
