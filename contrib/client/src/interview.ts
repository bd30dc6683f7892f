/**
 * An interview that goes on: registered at its start, ended exactly once, and never
 * forgotten. Whichever of these comes first ends it: the page says so, the page goes away
 * (pagehide), or, if the browser was killed, the next visit finds what it left behind.
 */
import { isPassing, type Http } from "./http.js";
import type { Outbox } from "./outbox.js";
import { sleep } from "./platform.js";
import type { EndedBy, SaveOutcome } from "./types.js";

const PREFIX = "debrief.live.";
const HEARTBEAT_MS = 5_000;
/** Without locks: background tabs may beat as seldom as once a minute. */
const STALE_MS = 150_000;
const REGISTER_RETRIES_MS = [1_000, 2_000, 4_000, 8_000, 16_000];

interface Live {
  sub: string;
  sessionId: string;
  agentId?: string;
  conversationId?: string;
  seenAt: number;
}

export class Interview {
  readonly sessionId: string;
  readonly agentId: string | undefined;
  /** whether the server has heard of the start; the end is saved all the same */
  readonly registered: Promise<boolean>;
  private knownConversationId: string | undefined;
  private outcome: Promise<SaveOutcome> | null = null;
  private readonly over = new AbortController();
  private readonly onPageHide = () => void this.end("disconnect");

  constructor(
    private readonly http: Http,
    private readonly outbox: Outbox,
    options: { sessionId?: string | undefined; agentId?: string | undefined },
  ) {
    this.sessionId = options.sessionId ?? http.platform.randomId();
    this.agentId = options.agentId;
    this.registered = this.register().catch(() => false);
    http.platform.events?.addEventListener("pagehide", this.onPageHide);
    this.stayAlive();
  }

  get conversationId(): string | undefined {
    return this.knownConversationId;
  }

  /** As soon as the provider has told it; the end is saved with it. */
  set conversationId(id: string | undefined) {
    this.knownConversationId = id;
    this.beat();
  }

  get ended(): boolean {
    return this.outcome !== null;
  }

  /** Saves the end. The first call counts; later ones get its outcome. */
  end(endedBy: EndedBy): Promise<SaveOutcome> {
    if (this.outcome === null) {
      this.outcome = this.outbox.save({
        sessionId: this.sessionId,
        conversationId: this.conversationId,
        agentId: this.agentId,
        endedBy,
      });
      this.http.platform.events?.removeEventListener("pagehide", this.onPageHide);
      this.over.abort();
      this.http.platform.storage?.removeItem(PREFIX + this.sessionId);
    }
    return this.outcome;
  }

  private async register(): Promise<boolean> {
    const body = JSON.stringify({
      client_session_id: this.sessionId,
      ...(this.agentId ? { agent_id: this.agentId } : {}),
    });
    for (const delayMs of [...REGISTER_RETRIES_MS, null]) {
      try {
        const response = await this.http.send({ method: "POST", path: "/api/save-interview", body });
        if (response.ok) return true;
        if (!isPassing(response.status)) return false;
      } catch (error) {
        if (!(error instanceof TypeError)) return false; // not the network: the token's callback
      }
      // A start that is told after its end would have the wrong time.
      if (delayMs === null || this.ended) return false;
      await sleep(delayMs, this.over.signal);
    }
    return false;
  }

  private stayAlive(): void {
    // Held for as long as this page lives, whatever ends it.
    void this.http.platform.locks
      ?.request(PREFIX + this.sessionId, () => new Promise<void>((resolve) => {
        this.over.signal.addEventListener("abort", () => resolve());
      }))
      .catch(() => undefined);
    this.beat();
    const timer = setInterval(() => this.beat(), HEARTBEAT_MS);
    this.over.signal.addEventListener("abort", () => clearInterval(timer));
    void this.http.tokens.ready().then(() => this.beat(), () => undefined);
  }

  private beat(): void {
    const sub = this.http.tokens.owner();
    if (this.ended || sub === null) return;
    // Keeps a token at hand for the moment when there is no time to ask for one.
    void this.http.tokens.ready().catch(() => undefined);
    const live: Live = {
      sub,
      sessionId: this.sessionId,
      ...(this.agentId ? { agentId: this.agentId } : {}),
      ...(this.conversationId ? { conversationId: this.conversationId } : {}),
      seenAt: this.http.platform.now(),
    };
    try {
      this.http.platform.storage?.setItem(PREFIX + this.sessionId, JSON.stringify(live));
    } catch {
      // full or forbidden: then pagehide alone must do
    }
  }
}

/** What an earlier page of this user left without its end; saved as disconnected when it was last seen. */
export async function recoverLost(http: Http, outbox: Outbox): Promise<{ sessionId: string; conversationId: string | null }[]> {
  const { sub } = await http.tokens.ready();
  const recovered: { sessionId: string; conversationId: string | null }[] = [];
  for (const live of leftBehind(http)) {
    if (live.sub !== sub || !(await isDead(http, live))) continue;
    http.platform.storage?.removeItem(PREFIX + live.sessionId);
    const { sessionId, conversationId, agentId, seenAt } = live;
    void outbox.save({ sessionId, conversationId, agentId, endedBy: "disconnect" }, seenAt);
    recovered.push({ sessionId: live.sessionId, conversationId: live.conversationId ?? null });
  }
  return recovered;
}

function leftBehind(http: Http): Live[] {
  const storage = http.platform.storage;
  const found: Live[] = [];
  for (let i = 0; storage !== null && i < storage.length; i++) {
    const key = storage.key(i);
    if (!key?.startsWith(PREFIX)) continue;
    try {
      const live = JSON.parse(storage.getItem(key) ?? "") as Live;
      if (typeof live.sessionId === "string" && typeof live.seenAt === "number") found.push(live);
    } catch {
      storage.removeItem(key);
    }
  }
  return found;
}

async function isDead(http: Http, live: Live): Promise<boolean> {
  if (http.platform.locks === null) return live.seenAt < http.platform.now() - STALE_MS;
  return http.platform.locks.request(PREFIX + live.sessionId, { ifAvailable: true }, (lock) => lock !== null);
}
