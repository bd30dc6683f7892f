-- merges, one a $1
-- $1 user, $2 revision, $3 decision. Returns the revision in force, and in words what it changed
-- (debrief_apply_decisions() in 0006_batches.sql).
SELECT member, revision, words
FROM debrief_apply_decisions($1::text[]::uuid[], $2::text[]::bigint[], $3::text[]::jsonb[])
