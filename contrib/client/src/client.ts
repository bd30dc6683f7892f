import { Http } from "./http.js";
import { Interview, recoverLost } from "./interview.js";
import { Outbox } from "./outbox.js";
import { browserPlatform, type Platform } from "./platform.js";
import { awaitEvaluation, fetchResults, findInterview, isEvaluated, type FoundInterview } from "./results.js";
import { TokenKeeper, type GetToken } from "./token.js";
import type { Progress, Results, Save, SaveOutcome, WaitOptions } from "./types.js";
import { Wait, type Seen } from "./wait.js";

export interface ClientOptions {
  /** Debrief's origin, without a slash at its end; "" (the default) is the page's own */
  baseUrl?: string;
  /** The user's bearer token. Asked for ahead of its expiry; `refresh` says that the last one was refused. */
  getToken: GetToken;
  /** for tests and for places that aren't browsers */
  platform?: Partial<Platform>;
}

export interface ResultsOptions extends Omit<WaitOptions, "timeoutMs"> {
  /** 60 s */
  findTimeoutMs?: number | undefined;
  /** 60 s */
  evaluationTimeoutMs?: number | undefined;
  /** the transcript is there, its evaluation isn't yet */
  onResults?: ((results: Results) => void) | undefined;
}

export class DebriefClient {
  private readonly http: Http;
  private readonly outbox: Outbox;

  constructor(options: ClientOptions) {
    const platform: Platform = { ...browserPlatform(), ...options.platform };
    this.http = new Http(platform, new TokenKeeper(options.getToken, platform.now), options.baseUrl ?? "");
    this.outbox = new Outbox(this.http);
  }

  /**
   * Call it once at every load of the page: saves the interviews that an earlier page was
   * killed in, sends what waits in the queue, and tells what was found.
   */
  async recover(): Promise<{ sessionId: string; conversationId: string | null }[]> {
    const recovered = await recoverLost(this.http, this.outbox);
    void this.outbox.flush();
    return recovered;
  }

  /**
   * Makes a session id, registers the start in the background, and saves the end by itself
   * if the page goes away. Give `sessionId` and the user's id to the provider as dynamic
   * variables (`client_session_id`, `user_id`).
   */
  startInterview(options: { sessionId?: string; agentId?: string | undefined } = {}): Interview {
    return new Interview(this.http, this.outbox, options);
  }

  /**
   * Saves the end of an interview, with a conversation id or without. The request is on its
   * way when this returns; what can't be sent now is queued. `Interview.end` calls it.
   */
  saveInterview(save: Save): Promise<SaveOutcome> {
    return this.outbox.save(save);
  }

  /** Resolves with the poll that names the interview; rejects with `failed`, `timeout` or `not-found`. */
  waitForInterview(sessionId: string, options: WaitOptions = {}): Promise<FoundInterview> {
    return findInterview(this.http, sessionId, options, { etag: null, view: null });
  }

  /** Resolves with the results once their evaluation is complete or failed. Knowing the session, it can wait parked. */
  waitForEvaluation(interviewId: string, options: WaitOptions & { sessionId?: string | undefined } = {}): Promise<Results> {
    return awaitEvaluation(this.http, interviewId, options.sessionId, options, { etag: null, view: null });
  }

  fetchResults(interviewId: string, options: WaitOptions = {}): Promise<Results> {
    return fetchResults(this.http, interviewId, options, { etag: null, view: null });
  }

  /** All phases after one another: find the interview, fetch it, wait for its evaluation. */
  async waitForResults(sessionId: string, options: ResultsOptions = {}): Promise<Results> {
    const { signal } = options;
    const began = this.http.platform.now();
    // Elapsed since this wait began, not since its phase did.
    const onProgress = (progress: Progress) =>
      options.onProgress?.({ ...progress, elapsedMs: this.http.platform.now() - began });
    const seen: Seen = { etag: null, view: null };
    const found = await findInterview(this.http, sessionId, { signal, onProgress, timeoutMs: options.findTimeoutMs }, seen);
    let results = await fetchResults(this.http, found.interviewId, { signal, onProgress }, seen);
    if (!isEvaluated(results)) {
      options.onResults?.(results);
      results = await awaitEvaluation(this.http, found.interviewId, sessionId,
        { signal, onProgress, timeoutMs: options.evaluationTimeoutMs }, seen);
    }
    new Wait(this.http, { onProgress }, "done", seen);
    return results;
  }
}
