-- The newest announcement of an organization in epoch microseconds, 0 where there is none.
SELECT toUnixTimestamp64Micro(max(announced)) FROM erasures WHERE org_id = {org:String}
