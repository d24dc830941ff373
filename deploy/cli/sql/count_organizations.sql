-- 0 where an organization is not known.
SELECT count() FROM orgs WHERE org_id = {org:String}
