-- A fact that the database refused for its content, once. $1 kind, $2 subject (sid or conversation id),
-- $3 the fact's bytes (hex), $4 SQLSTATE, $5 error.
INSERT INTO rejected_facts (kind, subject, fact, sqlstate, error)
SELECT $1, $2, $3::bytea, $4, $5
WHERE NOT EXISTS (SELECT 1 FROM rejected_facts r WHERE r.kind = $1 AND r.subject = $2 AND r.fact = $3::bytea)
