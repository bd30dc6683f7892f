-- A conversation that belongs to nobody yet is decided as such. $1 conversation id, $2 body hash of the
-- content that was decided on.
UPDATE interviews SET undecided = false WHERE conversation_id = $1 AND body_hash = $2 AND undecided
