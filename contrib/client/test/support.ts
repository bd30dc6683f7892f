import { webcrypto } from "node:crypto";
import { vi } from "vitest";
import { DebriefClient } from "../src/index.js";
import type { Platform } from "../src/platform.js";

// Browsers have it; Node only since 19.
globalThis.crypto ??= webcrypto as Crypto;

export const USER = "5b1f0f0e-0000-4000-8000-000000000001";
export const OTHER = "5b1f0f0e-0000-4000-8000-000000000002";
export const SID = "0b9e1c52-0000-4000-8000-00000000000a";
export const INTERVIEW = "7c1f3d77-0000-4000-8000-00000000000b";

export function token(sub = USER, options: { ttlSecs?: number; salt?: string } = {}): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + (options.ttlSecs ?? 3600);
  return `${part({ alg: "HS256" })}.${part({ sub, exp })}.${options.salt ?? "c2ln"}`;
}

export class FakeStorage implements Storage {
  readonly map = new Map<string, string>();
  full = false;

  get length(): number {
    return this.map.size;
  }
  clear(): void {
    this.map.clear();
  }
  getItem(key: string): string | null {
    return this.map.get(key) ?? null;
  }
  key(index: number): string | null {
    return [...this.map.keys()][index] ?? null;
  }
  removeItem(key: string): void {
    this.map.delete(key);
  }
  setItem(key: string, value: string): void {
    if (this.full) throw new DOMException("full", "QuotaExceededError");
    this.map.set(key, value);
  }
  named(prefix: string): string[] {
    return [...this.map.keys()].filter((key) => key.startsWith(prefix));
  }
}

/** Locks as several tabs share them. */
export class FakeLocks {
  readonly held = new Set<string>();

  async request(name: string, ...rest: unknown[]): Promise<unknown> {
    const callback = rest[rest.length - 1] as (lock: unknown) => unknown;
    if (this.held.has(name)) return callback(null);
    this.held.add(name);
    try {
      return await callback({ name });
    } finally {
      this.held.delete(name);
    }
  }
}

export interface Request {
  method: string;
  path: string;
  at: number;
  headers: Record<string, string>;
  body: Record<string, unknown> | null;
  init: RequestInit;
}

export type Answer = Response | Error | Promise<Response>;

export const never = () => new Promise<Response>(() => undefined);

/** A browser with a server behind it; `answer` is the server. */
export class Browser {
  readonly storage: FakeStorage;
  readonly locks: FakeLocks;
  readonly events = new EventTarget();
  readonly requests: Request[] = [];
  isOnline = true;
  token: () => string | Promise<string>;
  getToken = vi.fn((_: { refresh: boolean }) => this.token());
  readonly client: DebriefClient;

  constructor(
    public answer: (request: Request) => Answer,
    shared: { storage?: FakeStorage; locks?: FakeLocks | null; user?: string } = {},
  ) {
    this.storage = shared.storage ?? new FakeStorage();
    this.locks = shared.locks ?? new FakeLocks();
    const text = token(shared.user);
    this.token = () => text;
    const platform: Partial<Platform> = {
      fetch: (url, init) => this.fetch(url, init),
      storage: this.storage,
      events: this.events,
      locks: shared.locks === null ? null : (this.locks as unknown as LockManager),
      online: () => this.isOnline,
    };
    this.client = new DebriefClient({ getToken: (options) => this.getToken(options), platform });
  }

  emit(name: string): void {
    this.events.dispatchEvent(new Event(name));
  }

  to(path: string): Request[] {
    return this.requests.filter((request) => request.path.startsWith(path));
  }

  private fetch(url: string, init: RequestInit): Promise<Response> {
    const request: Request = {
      method: init.method ?? "GET",
      path: url,
      at: Date.now(),
      headers: init.headers as Record<string, string>,
      body: typeof init.body === "string" ? (JSON.parse(init.body) as Record<string, unknown>) : null,
      init,
    };
    this.requests.push(request);
    const answer = this.answer(request);
    if (answer instanceof Error) return Promise.reject(answer);
    if (answer instanceof Response) return Promise.resolve(answer);
    return new Promise((resolve, reject) => {
      init.signal?.addEventListener("abort", () => reject(init.signal!.reason));
      answer.then(resolve, reject);
    });
  }
}

export const noNetwork = () => new TypeError("Failed to fetch");

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers });
}

export const saved = () => json({ success: true });

export function problem(status: number, headers: Record<string, string> = {}): Response {
  return json({ title: "A problem", detail: `it is ${status}`, status }, status, headers);
}

export function view(change: Record<string, unknown> = {}) {
  return {
    interviewId: null, conversationId: null, status: "ended_pending_webhook", evaluationStatus: null, reason: null,
    ...change,
  };
}

export const linked = (evaluationStatus: string, reason: string | null = null) =>
  view({ interviewId: INTERVIEW, conversationId: "conv_1", status: "completed", evaluationStatus, reason });

export function results(status: string) {
  return {
    interview: { id: INTERVIEW, transcript: [{ role: "agent", message: "Hello", timeInCallSecs: 0 }] },
    evaluation: { status, result: null, reason: null, completedAt: null },
    metadata: {},
  };
}
