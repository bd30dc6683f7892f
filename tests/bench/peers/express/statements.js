// All prepared; all but the plain webhook are one statement a request: one round trip, one commit.
'use strict';

// $1 conversation, $2 user, $3 agent, $4 status, $5 start, $6 seconds, $7 transcript, $8 analysis, $9 metadata,
// $10 the rest, $11 evaluation's status
const keep = `
  INSERT INTO interviews AS i (conversation_id, user_id, agent_id, status, started_at, duration_secs,
    transcript, analysis, metadata, payload, evaluation_status)
  VALUES ($1, $2::uuid, $3, $4, to_timestamp($5::bigint), $6::int, $7::json, $8::jsonb, $9::jsonb, $10::jsonb, $11)
  ON CONFLICT (conversation_id) DO UPDATE SET
    status = excluded.status, duration_secs = excluded.duration_secs, transcript = excluded.transcript,
    analysis = excluded.analysis, metadata = excluded.metadata, payload = excluded.payload,
    evaluation_status = excluded.evaluation_status
  RETURNING i.id`;

module.exports = {
  // $1 user, $2 sid, $3 ended_by or null, $4 conversation id or null
  save: `
    INSERT INTO sessions AS s (user_id, client_session_id, status, ended_by, ended_at, conversation_id, interview_id)
    SELECT $1::uuid, $2, CASE WHEN $3::text IS NULL THEN 'started' ELSE 'ended_pending_webhook' END, $3,
      CASE WHEN $3 IS NOT NULL THEN now() END, i.conversation_id, i.id
    FROM (SELECT) one LEFT JOIN interviews i ON i.conversation_id = $4 AND i.user_id = $1::uuid
    ON CONFLICT (client_session_id) DO UPDATE SET
      ended_by = COALESCE(s.ended_by, excluded.ended_by),
      ended_at = LEAST(s.ended_at, excluded.ended_at),
      status = CASE WHEN s.interview_id IS NULL THEN excluded.status ELSE s.status END
    WHERE s.user_id = excluded.user_id
    RETURNING s.id`,

  // $1 user, $2 sid
  poll: `
    SELECT s.interview_id AS "interviewId", s.conversation_id AS "conversationId", s.status,
      i.evaluation_status AS "evaluationStatus", NULL AS reason
    FROM sessions s LEFT JOIN interviews i ON i.id = s.interview_id
    WHERE s.client_session_id = $2 AND s.user_id = $1::uuid`,

  // $1 user, $2 interview id
  results: `
    SELECT id, conversation_id AS "conversationId", agent_id AS "agentId", status, started_at AS "startedAt",
      duration_secs AS "durationSecs", transcript, analysis, metadata, evaluation_status
    FROM interviews WHERE id = $2::uuid AND user_id = $1::uuid`,

  // $1 user, $2 sid
  namedSession: `
    SELECT id FROM sessions WHERE user_id = $1::uuid AND client_session_id = $2 FOR UPDATE`,

  // $1 user
  newestSession: `
    SELECT id FROM sessions WHERE user_id = $1::uuid AND interview_id IS NULL
    ORDER BY created_at DESC LIMIT 1 FOR UPDATE`,

  // $1 session's id, $2 conversation, $3 interview
  link: `
    UPDATE sessions SET conversation_id = $2, interview_id = $3::uuid, status = 'completed' WHERE id = $1::uuid`,

  keep,

  // as keep; $12 named session
  keepAndLink: `
    WITH kept AS (${keep})
    UPDATE sessions s SET conversation_id = $1, interview_id = kept.id, status = 'completed'
    FROM kept
    WHERE s.id = COALESCE(
      (SELECT n.id FROM sessions n WHERE n.client_session_id = $12 AND n.user_id = $2::uuid),
      (SELECT n.id FROM sessions n WHERE n.user_id = $2::uuid AND n.interview_id IS NULL
       ORDER BY n.created_at DESC LIMIT 1))`,
};
