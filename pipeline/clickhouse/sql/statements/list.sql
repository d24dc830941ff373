-- Stored statements without their documents; of a period and of an organization where named.
SELECT
    org_id,
    period::String,
    revision,
    toUnixTimestamp64Micro(stated_at),
    sha256,
    previous,
    partial::Bool,
    toUnixTimestamp64Milli(as_of),
    generation,
    software::String
FROM statements
WHERE ({period:String} = '' OR period = {period:String})
  AND ({org:String} = '' OR org_id = {org:String})
