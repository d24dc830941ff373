SELECT org_id, toUnixTimestamp64Milli(max(at)) FROM erasures GROUP BY org_id
