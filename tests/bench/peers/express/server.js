// The four endpoints on Express and pg, plain but tuned: what a team would write first and keep.
// One process, as Debrief is measured with one worker. Configuration comes from the environment:
// PORT, DATABASE_URL, JWT_SECRET, WEBHOOK_SECRET, POOL_SIZE; ONE_STATEMENT=1: a webhook is one statement
// instead of a transaction, about as far as Express can be taken.
'use strict';

const crypto = require('node:crypto');
const express = require('express');
const jwt = require('jsonwebtoken');
const { Pool } = require('pg');
const statements = require('./statements');

const jwtSecret = crypto.createSecretKey(Buffer.from(process.env.JWT_SECRET));
const webhookSecret = process.env.WEBHOOK_SECRET;
const toleranceSecs = 3600;
const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const pool = new Pool({
  connectionString: process.env.DATABASE_URL,
  max: Number(process.env.POOL_SIZE || 10),
  idleTimeoutMillis: 0,
});

// Prepared once a connection, by its name.
async function query(name, values) {
  const result = await pool.query({ name, text: statements[name], values });
  return result.rows[0];
}

function authenticate(req, res, next) {
  const [scheme, token] = (req.get('authorization') || '').split(' ');
  if (scheme !== 'Bearer' || !token) return res.status(401).json({ error: 'no token' });
  try {
    req.user = jwt.verify(token, jwtSecret, { algorithms: ['HS256'], clockTolerance: 30 }).sub;
  } catch (error) {
    return res.status(401).json({ error: error.message });
  }
  next();
}

// `t=<seconds>,v0=<hex>`: an HMAC over "<t>.<body>".
function signatureHolds(header, body) {
  const parts = Object.fromEntries((header || '').split(',').map((part) => part.split('=')));
  const age = Date.now() / 1000 - Number(parts.t);
  if (!(Math.abs(age) <= toleranceSecs) || !/^[0-9a-f]{64}$/.test(parts.v0 || '')) return false;
  const mac = crypto.createHmac('sha256', webhookSecret).update(`${parts.t}.`).update(body).digest();
  return crypto.timingSafeEqual(mac, Buffer.from(parts.v0, 'hex'));
}

async function save(req, res) {
  const { client_session_id: sid, conversation_id: conversation, ended_by: endedBy } = req.body;
  if (typeof sid !== 'string' || !sid) return res.status(400).json({ error: 'client_session_id' });
  const row = await query('save', [req.user, sid, endedBy ?? null, conversation ?? null]);
  if (!row) return res.status(409).json({ error: 'another user’s session' });
  res.json({ success: true });
}

async function poll(req, res) {
  const row = await query('poll', [req.user, req.params.sid]);
  if (!row) return res.status(404).json({ error: 'no such session' });
  res.set('Cache-Control', 'no-store').json(row);
}

async function results(req, res) {
  if (!uuidForm.test(req.params.id)) return res.status(400).json({ error: 'not a UUID' });
  const row = await query('results', [req.user, req.params.id]);
  if (!row) return res.status(404).json({ error: 'no such interview' });
  const { evaluation_status: evaluationStatus, analysis, metadata, ...interview } = row;
  res.set('Cache-Control', 'no-store').json({
    interview: { ...interview, summary: analysis?.transcript_summary ?? null },
    evaluation: { status: evaluationStatus, result: analysis },
    metadata,
  });
}

// The session: the named one, else the user's newest that has no interview yet.
async function keepAndLink(conversation, user, sid, interview) {
  const client = await pool.connect();
  const run = async (name, values) => (await client.query({ name, text: statements[name], values })).rows[0];
  try {
    await client.query('BEGIN');
    const kept = await run('keep', interview);
    const session = (sid && await run('namedSession', [user, sid])) || await run('newestSession', [user]);
    if (session) await run('link', [session.id, conversation, kept.id]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    client.release();
  }
}

async function webhook(req, res) {
  if (!signatureHolds(req.get('elevenlabs-signature'), req.body)) return res.status(401).json({ error: 'signature' });
  const event = JSON.parse(req.body);
  if (event.type !== 'post_call_transcription') return res.json({ received: true });
  const { agent_id: agent, conversation_id: conversation, status, transcript, analysis, metadata, ...rest } = event.data;
  const variables = rest.conversation_initiation_client_data?.dynamic_variables ?? {};
  const user = variables.user_id ?? rest.user_id ?? null;
  const sid = variables.client_session_id ?? null;
  const interview = [
    conversation, user, agent, status, metadata?.start_time_unix_secs ?? null, metadata?.call_duration_secs ?? null,
    JSON.stringify(transcript ?? null), JSON.stringify(analysis ?? null), JSON.stringify(metadata ?? null),
    JSON.stringify(rest), analysis ? 'complete' : 'pending',
  ];
  if (process.env.ONE_STATEMENT) await query('keepAndLink', [...interview, sid]);
  else await keepAndLink(conversation, user, sid, interview);
  res.json({ received: true });
}

const app = express();
app.disable('x-powered-by');
app.get('/livez', (req, res) => res.json({ ok: true }));
app.post('/webhooks/elevenlabs', express.raw({ type: () => true, limit: '32mb' }), webhook);
app.post('/api/save-interview', authenticate, express.json({ limit: '64kb' }), save);
app.get('/api/interviews/by-session/:sid', authenticate, poll);
app.get('/api/interviews/:id/results', authenticate, results);
app.use((error, req, res, next) => {
  if (res.headersSent) return next(error);
  res.status(error.status || 503).json({ error: error.message });
});

const server = app.listen(Number(process.env.PORT), '127.0.0.1', 4096);
server.keepAliveTimeout = 120_000;
process.on('SIGTERM', () => process.exit(0));
