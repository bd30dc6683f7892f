-- merges rows of 9, one a $2
-- $1 its place, $2 user, $3 revision; a row's $4 session, $5 conversation, $6 evidence, $7 hash, $8 epoch, $9 own;
-- $10 the decision whole. Returns the revision in force, and in words what it changed (debrief_apply_links()
-- in 0007_links.sql).
SELECT member, revision, words
FROM debrief_apply_links($1::text[]::bigint[], $2::text[]::uuid[], $3::text[]::bigint[], $4::text[], $5::text[], $6::text[],
	$7::text[], $8::text[]::bigint[], $9::text[]::boolean[], $10::text[])
