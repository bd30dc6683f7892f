-- merges, one a $1
-- A conversation was heard of earlier than the ledger knows. $1 conversation id, $2 receipt ms.
UPDATE interviews i SET received_at = debrief_time(g.heard_ms::bigint), updated_at = now()
FROM unnest($1::text[], $2::text[]) AS g (cid, heard_ms)
WHERE i.conversation_id = g.cid AND i.received_at > debrief_time(g.heard_ms::bigint)
