-- The first minute with a fact, of one organization where org is not ''; and whether there is any.
SELECT toUnixTimestamp(min(minute)), count() FROM facts WHERE {org:String} = '' OR org_id = {org:String}
