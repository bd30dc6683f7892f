-- locks, one a $1
-- Makes users' profiles if need be, and locks them: before anything else of a batch, so that two
-- writers wait here and not, crosswise, for each other's rows. $1 user.
INSERT INTO profiles AS p (id) SELECT unnest($1::text[])::uuid
ON CONFLICT (id) DO UPDATE SET links_revision = p.links_revision WHERE false -- it is locked all the same
