-- $1 user, $2 revision, $3 decision. Returns the revision in force (0003_apply_decision.sql), and in words
-- what it changed (0005_link_changes.sql).
SELECT in_force.revision, debrief_links_made()
FROM debrief_apply_decision($1::uuid, $2::bigint, $3::jsonb) AS in_force (revision)
