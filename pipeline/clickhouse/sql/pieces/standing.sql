-- Months of organizations in [start, end): the newest revision (0 where there is none), whether a revision can be made of
-- the numbers there are (not if the organization was erased since the month began), and whether it would say something
-- else than the newest one. `first` and `last` are the names of the first month and of the last one.
SELECT
    org_id,
    period,
    max(revision) AS newest,
    toDateTime(concat(period, '-01 00:00:00'), 'UTC') >= any(erased.until) AS is_statable,
    newest = 0 AND is_statable AND sum(lines) > 0 AS is_open,
    newest > 0 AND is_statable AND sum(stated) != sum(found) AS differs
FROM
(
    SELECT org_id, period::String AS period, revision, content AS stated, 0::UInt64 AS found, 0::UInt64 AS lines
    FROM
    (
        SELECT org_id, period, revision, argMin(content, (stated_at, sha256)) AS content
        FROM statements
        WHERE period >= {first:String} AND period <= {last:String}
        GROUP BY org_id, period, revision
        ORDER BY revision DESC
        LIMIT 1 BY org_id, period
    )
    UNION ALL
    SELECT
        org_id,
        formatDateTime(bucket, '%Y-%m', 'UTC'),
        0,
        0,
        cityHash64(
            toString(toDate(bucket, 'UTC')), g.channel::String, g.error_code::String,
            g.sent, g.delivered, g.failed, g.charged, toDecimalString(g.cost_cents, 6)
        ),
        1
    FROM rollup_day FINAL
    ARRAY JOIN groups AS g
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
) AS accounts
LEFT JOIN
(
    SELECT org_id, max(at) AS until FROM erasures GROUP BY org_id
) AS erased USING (org_id)
GROUP BY org_id, period
