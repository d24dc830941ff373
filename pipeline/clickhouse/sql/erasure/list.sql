-- Up to which instant (epoch milliseconds) each erased organization was erased.
SELECT org_id, toUnixTimestamp64Milli(max(at)) FROM erasures GROUP BY org_id
