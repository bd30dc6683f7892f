-- $1 user, $2 revision, $3 decision. Returns the revision in force (0003_apply_decision.sql).
SELECT debrief_apply_decision($1::uuid, $2::bigint, $3::jsonb)
