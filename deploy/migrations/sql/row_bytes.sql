-- The mean size of a row of a table in bytes, before compression, as far as this server has any; else 0.
SELECT if(sum(rows) = 0, 0, intDiv(sum(data_uncompressed_bytes), sum(rows)))
FROM system.parts
WHERE database = currentDatabase() AND table = {table:String} AND active
