-- $1 interview id.
SELECT conversation_id FROM interviews WHERE id = $1::uuid
