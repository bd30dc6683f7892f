-- merges, one a $1
-- A conversation that belongs to nobody yet is decided as such. $1 conversation id, $2 body hash of the
-- content that was decided on.
UPDATE interviews i SET undecided = false FROM unnest($1::text[], $2::text[]) AS g (cid, hash)
WHERE i.conversation_id = g.cid AND i.body_hash = g.hash AND i.undecided
