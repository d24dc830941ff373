-- Organizations of which anything is stored, one of them where org is not '': the tier that was set ('' for none), the
-- number of keys that are not revoked, and whether it was erased.
SELECT org_id, max(tier), sum(has_key), max(was_erased)
FROM
(
    SELECT org_id, tier::String AS tier, 0 AS has_key, 0 AS was_erased
    FROM orgs FINAL
    WHERE {org:String} = '' OR org_id = {org:String}
    UNION ALL
    SELECT org_id, '', revoked_at = toDateTime64(0, 3, 'UTC'), 0
    FROM api_keys FINAL
    WHERE {org:String} = '' OR org_id = {org:String}
    UNION ALL
    SELECT DISTINCT org_id, '', 0, 1 FROM erasures WHERE {org:String} = '' OR org_id = {org:String}
    UNION ALL
    SELECT DISTINCT org_id, '', 0, 0 FROM statements WHERE {org:String} = '' OR org_id = {org:String}
    UNION ALL
    SELECT DISTINCT org_id, '', 0, 0 FROM rollup_day WHERE {org:String} = '' OR org_id = {org:String}
    UNION ALL
    SELECT DISTINCT org_id, '', 0, 0 FROM rollup_hour WHERE {org:String} = '' OR org_id = {org:String}
    UNION ALL
    SELECT DISTINCT org_id, '', 0, 0 FROM rollup_minute WHERE {org:String} = '' OR org_id = {org:String}
    UNION ALL
    SELECT DISTINCT org_id::String, '', 0, 0 FROM facts WHERE {org:String} = '' OR org_id = {org:String}
    UNION ALL
    SELECT DISTINCT org_id, '', 0, 0
    FROM dead_letters
    WHERE org_id != '' AND ({org:String} = '' OR org_id = {org:String})
)
GROUP BY org_id
ORDER BY org_id
