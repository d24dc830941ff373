SELECT toUnixTimestamp(min(minute)), count() FROM facts WHERE minute >= toDateTime({floor:UInt32}, 'UTC')
