/** What a poll of a session says (GET /api/interviews/by-session/:sessionId). */
export interface SessionView {
  interviewId: string | null;
  conversationId: string | null;
  status: "started" | "ended_pending_webhook" | "completed" | "failed";
  evaluationStatus: "pending" | "complete" | "failed" | null;
  reason: string | null;
}

export interface Turn {
  role: string;
  message: string | null;
  timeInCallSecs: number | null;
  interrupted?: boolean;
}

export interface Criterion {
  result?: string;
  rationale?: string | null;
  score?: number | null;
  max_score?: number | null;
}

export interface CollectedItem {
  value?: unknown;
  rationale?: string | null;
}

/** The provider's own evaluation. One from an evaluator outside may have any form. */
export interface EvaluationResult {
  callSuccessful?: string | null;
  callSuccessScore?: number | null;
  summary?: string | null;
  title?: string | null;
  criteria?: Record<string, Criterion>;
  dataCollection?: Record<string, CollectedItem>;
  [other: string]: unknown;
}

/** GET /api/interviews/:id/results */
export interface Results {
  interview: {
    id: string;
    conversationId: string;
    agentId: string | null;
    sessionId: string | null;
    status: string;
    startedAt: string | null;
    endedAt: string | null;
    durationSecs: number | null;
    summary: string | null;
    transcript: Turn[];
  };
  evaluation: {
    status: "pending" | "complete" | "failed";
    result: EvaluationResult | null;
    reason: string | null;
    completedAt: string | null;
  };
  metadata: Record<string, unknown>;
}

export type EndedBy = "user" | "disconnect";

export interface Save {
  sessionId: string;
  conversationId?: string | undefined;
  endedBy: EndedBy;
  agentId?: string | undefined;
}

/** What became of a save: kept by the server, refused by it for good, or waiting in the browser. */
export type SaveOutcome = "saved" | "refused" | "queued";

/** Where a wait has got to. */
export type Phase = "finding" | "fetching" | "evaluating" | "done";

export interface Progress {
  phase: Phase;
  /** since the wait began */
  elapsedMs: number;
  /** the last poll, once there was one */
  view: SessionView | null;
  /** whether the server holds our request until there is news */
  parked: boolean;
  /** a passing trouble that is being retried: no network, or a server that can't answer now */
  trouble: "offline" | "unavailable" | null;
}

export interface WaitOptions {
  /** at most so long (60 s) */
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
}
