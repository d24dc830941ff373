SELECT toUnixTimestamp64Micro(max(announced)) FROM erasures WHERE org_id = {org:String}
