-- locks, one a $1
-- Makes users' profiles if need be, and locks them: before anything else of a batch, so that two
-- writers wait here and not, crosswise, for each other's rows. Raises the revision of their links to that of a
-- decision that follows. $1 user, $2 revision (0: there is no decision).
INSERT INTO profiles AS p (id, links_revision) SELECT * FROM unnest($1::text[]::uuid[], $2::text[]::bigint[])
ON CONFLICT (id) DO UPDATE SET links_revision = excluded.links_revision
WHERE excluded.links_revision > p.links_revision -- it is locked all the same
