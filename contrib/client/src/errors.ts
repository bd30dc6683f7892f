export type ErrorCode =
  /** nothing came in the time that was given; worth another try */
  | "timeout"
  /** the server knows no such session or interview of this user */
  | "not-found"
  /** the token is missing, expired or wrong */
  | "unauthorized"
  /** the server refused the request itself */
  | "rejected"
  /** the interview failed; `reason` says why */
  | "failed"
  /** no answer, or none that makes sense */
  | "unavailable";

/** Whatever goes wrong here, except for an abort, which keeps its own AbortError. */
export class DebriefError extends Error {
  override readonly name = "DebriefError";
  readonly code: ErrorCode;
  readonly status: number | null;
  readonly reason: string | null;
  /** X-Request-Id of the answer: what the server's log calls it */
  readonly requestId: string | null;

  constructor(
    code: ErrorCode,
    message: string,
    more: { status?: number; reason?: string | null; requestId?: string | null } = {},
  ) {
    super(message);
    this.code = code;
    this.status = more.status ?? null;
    this.reason = more.reason ?? null;
    this.requestId = more.requestId ?? null;
  }
}

/** The abort's own reason, as fetch would throw it. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw signal.reason;
}
