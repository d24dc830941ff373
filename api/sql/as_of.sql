SELECT toUnixTimestamp64Milli(max(as_of)) FROM watermark
