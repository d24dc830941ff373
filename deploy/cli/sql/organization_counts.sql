-- Counts of an organization: facts, dead letters, rows of each rollup, keys that are not revoked, and statements.
SELECT
    (SELECT count() FROM facts FINAL WHERE org_id = {org:String}),
    (SELECT count() FROM dead_letters FINAL WHERE org_id = {org:String}),
    (SELECT count() FROM rollup_minute FINAL WHERE org_id = {org:String}),
    (SELECT count() FROM rollup_hour FINAL WHERE org_id = {org:String}),
    (SELECT count() FROM rollup_day FINAL WHERE org_id = {org:String}),
    (SELECT count() FROM api_keys FINAL WHERE org_id = {org:String} AND revoked_at = toDateTime64(0, 3, 'UTC')),
    (SELECT count() FROM statements WHERE org_id = {org:String})
