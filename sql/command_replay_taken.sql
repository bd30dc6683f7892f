-- A refused fact was taken after all. $1 its id.
DELETE FROM rejected_facts WHERE id = $1::bigint
