-- Deletes an organization's statements of months before one.
ALTER TABLE TARGET
DELETE WHERE org_id = {org:String} AND period < {first_kept:String} AND {mark:String} != ''
