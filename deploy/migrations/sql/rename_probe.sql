-- Renames it.
RENAME TABLE probe TO probe_renamed
