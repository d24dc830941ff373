-- Events of [start, end), by id and type, that were sent for more than one minute, and so counted more than once: their
-- number by organization, in one of `parts` portions of the identities. No FINAL: an event that was inserted twice lies in
-- the same minute.
SELECT org_id, count()
FROM
(
    SELECT org_id, cityHash64(event_id, toInt8(type)) AS identity
    FROM facts
    WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
      AND cityHash64(org_id, event_id, toInt8(type)) % {parts:UInt32} = {part:UInt32}
    GROUP BY org_id, identity
    HAVING min(minute) < max(minute)
)
GROUP BY org_id
