/** The phases of the way to the results: find the interview, fetch it, wait for its evaluation. */
import { DebriefError } from "./errors.js";
import { isPassing, refusal, retryAfterMs, type Http } from "./http.js";
import type { Results, SessionView, WaitOptions } from "./types.js";
import { pollUntil, Wait, type Seen } from "./wait.js";

const FIND_INTERVAL_MS = 1_000;
const EVALUATION_INTERVAL_MS = 2_000;
const FETCH_TIMEOUT_MS = 30_000;
const FETCH_LIMIT_MS = 15_000;
const FETCH_MIN_MS = 5_000;

export type FoundInterview = SessionView & { interviewId: string };

export async function findInterview(
  http: Http, sessionId: string, options: WaitOptions, seen: Seen,
): Promise<FoundInterview> {
  const wait = new Wait(http, options, "finding", seen);
  const view = await pollUntil(wait, sessionId, seen, FIND_INTERVAL_MS,
    (view) => view.status === "failed" || view.interviewId !== null);
  if (view.status === "failed") {
    throw new DebriefError("failed", "the interview failed", { reason: view.reason });
  }
  return view as FoundInterview;
}

/** Asks until there is an answer, or none for 30 s. */
export async function fetchResults(http: Http, interviewId: string, options: WaitOptions, seen: Seen): Promise<Results> {
  const wait = new Wait(http, { timeoutMs: FETCH_TIMEOUT_MS, ...options }, "fetching", seen);
  const results = await fetchUntil(wait, interviewId, () => true);
  if (results === null) throw new DebriefError("unavailable", "the results could not be fetched");
  return results;
}

/**
 * The results with their evaluation, complete or failed. With a session the wait is one
 * parked request; without one the results are asked for every two seconds.
 */
export async function awaitEvaluation(
  http: Http, interviewId: string, sessionId: string | undefined, options: WaitOptions, seen: Seen,
): Promise<Results> {
  const wait = new Wait(http, options, "evaluating", seen);
  if (sessionId !== undefined) {
    await pollUntil(wait, sessionId, seen, EVALUATION_INTERVAL_MS, (view) =>
      view.interviewId === interviewId && view.evaluationStatus !== null && view.evaluationStatus !== "pending");
  }
  const results = await fetchUntil(wait, interviewId, isEvaluated);
  if (results === null) throw new DebriefError("timeout", "no evaluation in the time given");
  return results;
}

export function isEvaluated(results: Results): boolean {
  return results.evaluation.status !== "pending";
}

/** null when the wait's time is up. */
async function fetchUntil(wait: Wait, interviewId: string, isDone: (results: Results) => boolean): Promise<Results | null> {
  const path = `/api/interviews/${encodeURIComponent(interviewId)}/results`;
  let etag: string | null = null;
  // Once at least, even if the time is up: the poll may have said in its last second that it is there.
  for (let first = true; first || wait.remainingMs > 0; first = false) {
    const answer: { response: Response; results: Results | null } | null =
      await wait.attempt(Math.min(FETCH_LIMIT_MS, Math.max(FETCH_MIN_MS, wait.remainingMs)), async (signal) => {
        const headers: Record<string, string> = etag === null ? {} : { "If-None-Match": etag };
        const response = await wait.http.send({ path, headers, signal });
        return { response, results: response.ok ? readResults(await response.json()) : null };
      });
    if (answer !== null) {
      const { response, results } = answer;
      if (results !== null && isDone(results)) return results;
      if (!response.ok && response.status !== 304 && !isPassing(response.status)) throw await refusal(response);
      if (results !== null) etag = response.headers.get("ETag");
    }
    const wellAnswered = answer !== null && !isPassing(answer.response.status);
    wait.report({ trouble: wellAnswered ? null : wait.http.platform.online() ? "unavailable" : "offline" });
    const askedMs = answer === null ? null : retryAfterMs(answer.response, wait.http.platform.now());
    await wait.pause(Math.max(EVALUATION_INTERVAL_MS, askedMs ?? 0));
  }
  return null;
}

function readResults(json: unknown): Results {
  const results = json as Partial<Results> | null;
  if (!results?.interview || !results.evaluation) throw new SyntaxError("not an interview's results");
  return results as Results;
}
