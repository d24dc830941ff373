-- Has copies of an organization's numbers ('': of all) read anew. The time must not be before any that a reader was given,
-- which is `as_of` at most: where the clock fell since, that is ahead of it. Once is enough, until then.
INSERT INTO resyncs (org_id, at)
SELECT {org:String}, newest
FROM (SELECT greatest(now64(3, 'UTC'), max(as_of)) AS newest FROM watermark)
WHERE newest > (SELECT max(at) FROM resyncs WHERE org_id = {org:String})
