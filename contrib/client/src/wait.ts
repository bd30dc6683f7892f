/**
 * Waiting for news of a session. Where the server honours `Prefer: wait`, one request is
 * held until there is news; elsewhere it is asked every second or two.
 */
import { DebriefError, throwIfAborted } from "./errors.js";
import { isPassing, refusal, retryAfterMs, type Http } from "./http.js";
import { sleep } from "./platform.js";
import type { Phase, Progress, SessionView, WaitOptions } from "./types.js";

export const TIMEOUT_MS = 60_000;
export const LONG_POLL_SECS = 25;
const ANSWER_MS = 10_000; // beyond the wait that was asked for
const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_MAX_MS = 10_000;
/** An unknown session may still be on its way for so long. */
const UNKNOWN_MS = 60_000;
/** Differs from every real one: a known session is answered at once, an unknown one is waited for. */
const NO_ETAG = '"-"';

/** What a session was when last seen; handed from one phase to the next. */
export interface Seen {
  etag: string | null;
  view: SessionView | null;
}

/** One wait: its deadline, its caller's signal, and what it reports. */
export class Wait {
  private readonly began: number;
  private readonly deadline: number;
  private progress: Progress;

  constructor(
    readonly http: Http,
    readonly options: WaitOptions,
    phase: Phase,
    seen: Seen,
  ) {
    this.began = http.platform.now();
    this.deadline = this.began + (options.timeoutMs ?? TIMEOUT_MS);
    this.progress = { phase, elapsedMs: 0, view: seen.view, parked: false, trouble: null };
    this.report({});
  }

  get remainingMs(): number {
    return Math.max(0, this.deadline - this.http.platform.now());
  }

  get elapsedMs(): number {
    return this.http.platform.now() - this.began;
  }

  report(change: Partial<Progress>): void {
    this.progress = { ...this.progress, ...change, elapsedMs: this.elapsedMs };
    this.options.onProgress?.(this.progress);
  }

  /** Runs a request under the caller's signal and a limit of its own; null: no answer. */
  async attempt<T>(limitMs: number, run: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
    throwIfAborted(this.options.signal);
    const controller = new AbortController();
    const onAbort = () => controller.abort();
    this.options.signal?.addEventListener("abort", onAbort, { once: true });
    const timer = setTimeout(onAbort, limitMs);
    try {
      return await run(controller.signal);
    } catch (error) {
      throwIfAborted(this.options.signal);
      // No network, a cut or endless answer, or one that isn't JSON (a captive portal's page).
      if (controller.signal.aborted || error instanceof TypeError || error instanceof SyntaxError) return null;
      throw error;
    } finally {
      clearTimeout(timer);
      this.options.signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Sleeps, at most to the deadline; the network's return ends it. */
  async pause(ms: number): Promise<void> {
    const { events } = this.http.platform;
    const early = new AbortController();
    const wake = () => early.abort();
    this.options.signal?.addEventListener("abort", wake, { once: true });
    events?.addEventListener("online", wake, { once: true });
    await sleep(Math.min(ms, this.remainingMs), early.signal).catch(() => undefined);
    this.options.signal?.removeEventListener("abort", wake);
    events?.removeEventListener("online", wake);
    throwIfAborted(this.options.signal);
  }
}

/** Polls until `isDone` likes what it sees. */
export async function pollUntil(
  wait: Wait, sessionId: string, seen: Seen, intervalMs: number, isDone: (view: SessionView) => boolean,
): Promise<SessionView> {
  let backoffMs = 0;
  let unknown = false;
  const backOff = () => (backoffMs = Math.min(BACKOFF_MAX_MS, backoffMs === 0 ? BACKOFF_FIRST_MS : backoffMs * 2));

  for (;;) {
    if (seen.view !== null && isDone(seen.view)) return seen.view;
    if (wait.remainingMs === 0) {
      throw new DebriefError(unknown ? "not-found" : "timeout",
        unknown ? "the server knows no such session" : "no news of the session in the time given");
    }
    // Answered before the time is up, so that what it says can still be told.
    const waitSecs = Math.min(LONG_POLL_SECS, Math.max(1, Math.ceil(wait.remainingMs / 1000) - 1));
    const asked = wait.elapsedMs;
    const poll = await wait.attempt(Math.min(waitSecs * 1000 + ANSWER_MS, wait.remainingMs), (signal) =>
      ask(wait.http, sessionId, seen, waitSecs, signal));

    if (poll === null || isPassing(poll.response.status)) {
      if (poll === null && wait.remainingMs === 0) continue;
      wait.report({ trouble: wait.http.platform.online() ? "unavailable" : "offline", parked: false });
      const askedMs = poll === null ? null : retryAfterMs(poll.response, wait.http.platform.now());
      await wait.pause(Math.max(askedMs ?? 0, backOff() * (0.75 + Math.random() / 2)));
      continue;
    }
    const { response, view } = poll;
    unknown = response.status === 404;
    if (unknown ? wait.elapsedMs > UNKNOWN_MS : response.status !== 304 && !response.ok) throw await refusal(response);

    const isNews = view !== null && !sameView(view, seen.view);
    if (response.ok) seen.etag = response.headers.get("ETag");
    if (view !== null) seen.view = view;
    const parks = /(^|[\s,;])wait\b/i.test(response.headers.get("Preference-Applied") ?? "");
    wait.report({ view: seen.view, parked: parks, trouble: null });
    if (isNews) backoffMs = 0;

    if (!parks) {
      backoffMs = 0;
      await pauseUnlessDone(Math.max(intervalMs, retryAfterMs(response, wait.http.platform.now()) ?? 0));
    } else if (!isNews && wait.elapsedMs - asked < waitSecs * 1000 - 1_500) {
      await wait.pause(backOff()); // it should have been held, and was not
    } else {
      backoffMs = 0;
    }
  }

  async function pauseUnlessDone(ms: number): Promise<void> {
    if (seen.view === null || !isDone(seen.view)) await wait.pause(ms);
  }
}

async function ask(http: Http, sessionId: string, seen: Seen, waitSecs: number, signal: AbortSignal) {
  const response = await http.send({
    path: `/api/interviews/by-session/${encodeURIComponent(sessionId)}`,
    headers: { Prefer: `wait=${waitSecs}`, "If-None-Match": seen.etag ?? NO_ETAG },
    signal,
  });
  const view = response.ok ? readView(await response.json()) : null;
  return { response, view };
}

function readView(json: unknown): SessionView {
  if (typeof (json as SessionView | null)?.status !== "string") throw new SyntaxError("not a session");
  return json as SessionView;
}

function sameView(a: SessionView, b: SessionView | null): boolean {
  return b !== null && a.interviewId === b.interviewId && a.conversationId === b.conversationId &&
    a.status === b.status && a.evaluationStatus === b.evaluationStatus && a.reason === b.reason;
}
