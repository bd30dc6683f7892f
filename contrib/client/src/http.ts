import { DebriefError } from "./errors.js";
import type { Platform } from "./platform.js";
import type { Token, TokenKeeper } from "./token.js";

export interface Call {
  method?: "GET" | "POST";
  path: string;
  headers?: Record<string, string>;
  body?: string;
  keepalive?: boolean;
  signal?: AbortSignal | undefined;
}

/** Requests to one server, with the token on each. */
export class Http {
  constructor(
    readonly platform: Platform,
    readonly tokens: TokenKeeper,
    private readonly baseUrl: string,
  ) {}

  /** Sends now, in this very call: nothing is awaited before fetch has it. */
  sendNow(token: Token, call: Call): Promise<Response> {
    const init: RequestInit = {
      method: call.method ?? "GET",
      headers: {
        ...(call.body === undefined ? {} : { "Content-Type": "application/json" }),
        ...call.headers,
        Authorization: `Bearer ${token.text}`,
      },
      // Conditions are ours to make and 304s ours to read.
      cache: "no-store",
      credentials: "omit",
    };
    if (call.body !== undefined) init.body = call.body;
    if (call.keepalive) init.keepalive = true;
    if (call.signal) init.signal = call.signal;
    return this.platform.fetch(this.baseUrl + call.path, init);
  }

  /** Sends with a token that is good; after a 401 once more, with another one. */
  async send(call: Call): Promise<Response> {
    const token = await this.tokens.ready();
    const response = await this.sendNow(token, call);
    if (response.status !== 401) return response;
    const other = await this.tokens.replace(token);
    return other.text === token.text ? response : this.sendNow(other, call);
  }
}

/** Worth another try: a server's own trouble, and what it asks us to do later. */
export function isPassing(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}

/** Retry-After in ms: seconds or a date; null without one. */
export function retryAfterMs(response: Response, now: number): number | null {
  const text = response.headers.get("Retry-After");
  if (text === null) return null;
  if (/^\s*\d+\s*$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}

/** A refusal as an error, with the words of its problem document. */
export async function refusal(response: Response): Promise<DebriefError> {
  const problem = (await response.json().catch(() => null)) as { title?: unknown; detail?: unknown } | null;
  const words = [problem?.detail, problem?.title].find((text) => typeof text === "string") as string | undefined;
  const code =
    response.status === 401 ? "unauthorized"
    : response.status === 404 ? "not-found"
    : isPassing(response.status) ? "unavailable"
    : "rejected";
  return new DebriefError(code, words ?? `the server answered ${response.status}`, {
    status: response.status,
    requestId: response.headers.get("X-Request-Id"),
  });
}
