INSERT INTO erasures (org_id, finished) VALUES ({org:String}, fromUnixTimestamp64Micro({announcement:Int64}, 'UTC'))
