-- Facts that were refused, oldest first. $1 least ms of the refusal, $2 subject or null, $3 id of the last one seen, $4 limit.
SELECT id, kind, subject, encode(fact, 'hex'), debrief_ms(rejected_at), error FROM rejected_facts
WHERE rejected_at >= debrief_time($1::bigint) AND ($2::text IS NULL OR subject = $2) AND id > $3::bigint
ORDER BY id LIMIT $4::int
