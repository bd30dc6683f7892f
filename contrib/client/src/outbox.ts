/**
 * Ends of interviews on their way to the server. Each is written to localStorage before it
 * is sent and deleted when the server has it, so a closed tab, a dead network or a server
 * that is away loses none.
 *
 * One key an entry, named by its session: two tabs that write at the same moment don't
 * overwrite each other. An entry carries the `sub` of the token that it was made under and
 * is sent only under that one, so that a second user of the browser neither sends it nor
 * gets it.
 */
import { isPassing, retryAfterMs, type Http } from "./http.js";
import type { Token } from "./token.js";
import type { Save, SaveOutcome } from "./types.js";

const PREFIX = "debrief.save.";
export const ENTRIES_MAX = 50;
export const AGE_MAX_MS = 7 * 24 * 3600 * 1000;
const RETRY_FIRST_MS = 2_000;
const RETRY_MAX_MS = 60_000;

interface Entry extends Save {
  sub: string;
  endedAt: number;
}

export class Outbox {
  /** for browsers without localStorage: what would be there */
  private readonly memory = new Map<string, string>();
  private readonly sending = new Map<string, Promise<SaveOutcome>>();
  private refusedToken: string | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private failures = 0;

  constructor(private readonly http: Http) {
    http.platform.events?.addEventListener("online", () => void this.flush());
  }

  /** Keeps it, and sends it in this very call if a token is at hand. */
  save(save: Save, endedAt = this.http.platform.now()): Promise<SaveOutcome> {
    const owner = this.http.tokens.owner();
    if (owner === null) return this.saveWhenKnown(save, endedAt);
    this.keep({ ...save, sub: owner, endedAt });
    const token = this.http.tokens.current();
    return token === null ? this.sendWhenReady(save.sessionId) : this.send(save.sessionId, token);
  }

  /** Nobody has asked for a token yet, so it isn't known whose this is. */
  private async saveWhenKnown(save: Save, endedAt: number): Promise<SaveOutcome> {
    const token = await this.http.tokens.ready();
    this.keep({ ...save, sub: token.sub ?? "", endedAt });
    return this.send(save.sessionId, token);
  }

  /** Sends all that waits for this user. Never rejects. */
  async flush(): Promise<void> {
    let token: Token;
    try {
      token = await this.http.tokens.ready();
    } catch {
      this.retryLater(null);
      return;
    }
    for (const entry of this.entries()) await this.send(entry.sessionId, this.http.tokens.current() ?? token);
  }

  /** What waits, of whichever user, the oldest first. */
  entries(): Entry[] {
    const oldest = this.http.platform.now() - AGE_MAX_MS;
    const found: Entry[] = [];
    for (const key of this.keys()) {
      const entry = parse(this.read(key));
      if (entry === null || entry.endedAt < oldest) this.remove(key);
      else found.push(entry);
    }
    return found.sort((a, b) => a.endedAt - b.endedAt);
  }

  private async sendWhenReady(sessionId: string): Promise<SaveOutcome> {
    try {
      return await this.send(sessionId, await this.http.tokens.ready());
    } catch {
      this.retryLater(null);
      return "queued";
    }
  }

  /** An end that is there already stays: the first one counts. What it lacked is filled in. */
  private keep(entry: Entry): void {
    const key = PREFIX + entry.sessionId;
    const before = parse(this.read(key));
    this.write(key, JSON.stringify(before !== null && before.sub === entry.sub ? merge(before, entry) : entry));
    const all = this.entries();
    for (const surplus of all.slice(0, Math.max(0, all.length - ENTRIES_MAX))) this.remove(PREFIX + surplus.sessionId);
  }

  private send(sessionId: string, token: Token): Promise<SaveOutcome> {
    const underWay = this.sending.get(sessionId);
    if (underWay) return underWay;
    const text = this.read(PREFIX + sessionId);
    const entry = parse(text);
    if (entry === null) return Promise.resolve("saved");
    if (entry.sub !== (token.sub ?? "") || token.text === this.refusedToken) return Promise.resolve("queued");
    const sent = this.post(entry, token); // fetch has been called when this returns
    const outcome = this.settle(sessionId, text!, sent, entry, token).finally(() => this.sending.delete(sessionId));
    this.sending.set(sessionId, outcome);
    return outcome;
  }

  private post(entry: Entry, token: Token): Promise<Response> {
    const ago = Math.min(AGE_MAX_MS, this.http.platform.now() - entry.endedAt);
    const body = {
      client_session_id: entry.sessionId,
      ended_by: entry.endedBy,
      ...(entry.conversationId ? { conversation_id: entry.conversationId } : {}),
      ...(entry.agentId ? { agent_id: entry.agentId } : {}),
      ...(ago > 0 ? { ended_ago_ms: Math.round(ago) } : {}),
    };
    return this.http.sendNow(token, {
      method: "POST",
      path: "/api/save-interview",
      body: JSON.stringify(body),
      keepalive: true,
    });
  }

  private async settle(
    sessionId: string, text: string, sent: Promise<Response>, entry: Entry, token: Token,
  ): Promise<SaveOutcome> {
    try {
      let response = await sent;
      if (response.status === 401) {
        const other = await this.http.tokens.replace(token);
        if (other.text !== token.text && other.sub === token.sub) response = await this.post(entry, other);
        if (response.status === 401) {
          this.refusedToken = other.text; // until the page has a better one
          return "queued";
        }
      }
      if (isPassing(response.status)) {
        this.retryLater(retryAfterMs(response, this.http.platform.now()));
        return "queued";
      }
      this.failures = 0;
      const key = PREFIX + sessionId;
      // What was added to it while this was on its way has still to be sent.
      if (this.read(key) === text) this.remove(key);
      else this.retryLater(0);
      if (response.ok) return "saved";
      console.warn(`debrief: the end of session ${sessionId} was refused (${response.status})`);
      return "refused";
    } catch {
      this.retryLater(null);
      return "queued";
    }
  }

  private retryLater(askedMs: number | null): void {
    if (this.timer !== null) return;
    const ownMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.failures++);
    this.timer = setTimeout(() => {
      this.timer = null;
      void this.flush();
    }, askedMs ?? ownMs * (0.75 + Math.random() / 2));
  }

  // Storage, which can be absent, full or forbidden.

  private keys(): string[] {
    const stored: string[] = [];
    const storage = this.http.platform.storage;
    for (let i = 0; storage !== null && i < storage.length; i++) {
      const key = storage.key(i);
      if (key?.startsWith(PREFIX)) stored.push(key);
    }
    return [...new Set([...stored, ...this.memory.keys()])];
  }

  private read(key: string): string | null {
    return this.memory.get(key) ?? this.http.platform.storage?.getItem(key) ?? null;
  }

  private write(key: string, text: string): void {
    try {
      this.http.platform.storage!.setItem(key, text);
      this.memory.delete(key);
    } catch {
      this.memory.set(key, text);
    }
  }

  private remove(key: string): void {
    this.memory.delete(key);
    this.http.platform.storage?.removeItem(key);
  }
}

function merge(before: Entry, later: Entry): Entry {
  const first = before.endedAt <= later.endedAt ? before : later;
  return {
    ...first,
    conversationId: before.conversationId ?? later.conversationId,
    agentId: before.agentId ?? later.agentId,
  };
}

function parse(text: string | null): Entry | null {
  if (text === null) return null;
  try {
    const entry = JSON.parse(text) as Partial<Entry> | null;
    const whole =
      typeof entry?.sessionId === "string" && typeof entry.sub === "string" &&
      typeof entry.endedAt === "number" && (entry.endedBy === "user" || entry.endedBy === "disconnect");
    return whole ? (entry as Entry) : null;
  } catch {
    return null;
  }
}
