-- What waits in the ledger, in the columns that src/broker/survey.c names: counts to 10000, times in ms.
-- $1 webhook deadline s, $2 how long a conversation without a session is looked at, s.
WITH pending AS (
	SELECT client_ended_at AS at FROM interview_sessions
	WHERE status = 'ended_pending_webhook' AND client_ended_at > now() - $1::bigint * interval '1 second'
	ORDER BY client_ended_at LIMIT 10000
), missing AS (
	SELECT FROM interview_sessions
	WHERE status = 'ended_pending_webhook' AND client_ended_at <= now() - $1::bigint * interval '1 second'
	  AND client_ended_at > now() - $1::bigint * interval '1 second' - interval '1 hour'
	LIMIT 10000
), unmatched AS (
	(SELECT created_at AS at FROM interview_sessions
	 WHERE left(client_session_id, 9) = 'fallback:' AND created_at > now() - $2::bigint * interval '1 second'
	 ORDER BY created_at LIMIT 5000)
	UNION ALL
	(SELECT received_at FROM interviews
	 WHERE user_id IS NULL AND received_at > now() - $2::bigint * interval '1 second'
	 ORDER BY received_at LIMIT 5000)
), undecided AS (
	(SELECT updated_at AS at FROM interview_sessions WHERE undecided ORDER BY updated_at LIMIT 5000)
	UNION ALL
	(SELECT updated_at FROM interviews WHERE undecided ORDER BY updated_at LIMIT 5000)
), evaluation AS (
	SELECT requested_at AS at FROM evaluations WHERE status = 'pending' ORDER BY requested_at LIMIT 10000
)
SELECT p.n, p.oldest, (SELECT count(*) FROM missing), u.n, u.oldest, d.n, d.oldest, e.n, e.oldest
FROM (SELECT count(*) AS n, debrief_ms(min(at)) AS oldest FROM pending) p,
	(SELECT count(*) AS n, debrief_ms(min(at)) AS oldest FROM unmatched) u,
	(SELECT count(*) AS n, debrief_ms(min(at)) AS oldest FROM undecided) d,
	(SELECT count(*) AS n, debrief_ms(min(at)) AS oldest FROM evaluation) e
