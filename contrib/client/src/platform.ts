/**
 * What is taken from the browser, in one place: tests put their own there, and code that
 * runs where some of it is missing still works.
 */
export interface Platform {
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** null where there is none, or where it is forbidden */
  storage: Storage | null;
  now: () => number;
  randomId: () => string;
  /** pagehide, online: window */
  events: EventTarget | null;
  locks: LockManager | null;
  online: () => boolean;
}

export function browserPlatform(): Platform {
  return {
    fetch: (url, init) => globalThis.fetch(url, init),
    storage: localStorageOrNull(),
    now: () => Date.now(),
    randomId,
    events: typeof window === "undefined" ? null : window,
    locks: typeof navigator === "undefined" ? null : (navigator.locks ?? null),
    online: () => typeof navigator === "undefined" || navigator.onLine !== false,
  };
}

/** Reading the property alone throws where cookies are blocked. */
function localStorageOrNull(): Storage | null {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}

/** crypto.randomUUID() is there in secure contexts only; its random numbers are everywhere. */
function randomId(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Resolves after `ms`, or rejects with the signal's reason. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
