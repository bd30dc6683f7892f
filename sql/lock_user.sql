-- Makes a user's profile if need be, and locks it: before anything else of a user is written, so
-- that two of their writers wait here and not, crosswise, for each other's rows. $1 user.
WITH made AS (
	INSERT INTO profiles (id) VALUES ($1::uuid) ON CONFLICT (id) DO NOTHING
)
SELECT links_revision FROM profiles WHERE id = $1::uuid FOR NO KEY UPDATE
