-- A fact that the database refused for its content. $1 kind, $2 subject (sid or conversation id),
-- $3 the fact's bytes (hex), $4 SQLSTATE, $5 error.
INSERT INTO rejected_facts (kind, subject, fact, sqlstate, error) VALUES ($1, $2, $3::bytea, $4, $5)
