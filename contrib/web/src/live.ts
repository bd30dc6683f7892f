/**
 * The interview that goes on in this tab: the session at Debrief, the call at the provider,
 * and what the page shows of both. It lives outside React: a page that is drawn anew
 * doesn't hang up.
 */
import type { DebriefClient, EndedBy, Interview } from "@debrief/client";
import type { Call, Mode, Turn } from "./calls/call";
import { startSimulatedCall, type Simulation } from "./calls/simulated";
import { keepSession } from "./sessions";

export interface LiveState {
  phase: "connecting" | "live" | "ended";
  mode: Mode;
  turns: Turn[];
  muted: boolean;
  /** how it ended, or why it could not begin */
  endedBy: EndedBy | null;
  trouble: string | null;
}

export interface LiveOptions {
  user: string;
  role: string;
  resume: string;
  agentId: string | null;
  agentOrigin: string | null;
  simulator: string | null;
  simulation: Simulation;
}

export class LiveInterview {
  readonly startedAt = Date.now();
  readonly interview: Interview;
  private call: Call | null = null;
  private readonly listeners = new Set<() => void>();
  private now: LiveState = {
    phase: "connecting", mode: "listening", turns: [], muted: false, endedBy: null, trouble: null,
  };

  constructor(
    debrief: DebriefClient,
    readonly options: LiveOptions,
  ) {
    this.interview = debrief.startInterview({ agentId: options.agentId ?? undefined });
    this.keep();
    addEventListener("pageshow", this.onPageShow);
    void this.connect();
  }

  /** A page that comes back from the browser's cache had ended its interview when it went there. */
  private readonly onPageShow = () => {
    if (this.interview.ended) this.end("disconnect");
  };

  readonly state = (): LiveState => this.now;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  get sessionId(): string {
    return this.interview.sessionId;
  }

  get canMute(): boolean {
    return this.call?.setMuted !== undefined;
  }

  say(text: string): void {
    this.call?.say(text);
  }

  setMuted(muted: boolean): void {
    this.call?.setMuted?.(muted);
    this.change({ muted });
  }

  /** Saved first: what follows may take its time, or fail. */
  end(endedBy: EndedBy): void {
    if (this.now.phase === "ended") return;
    void this.interview.end(endedBy);
    removeEventListener("pageshow", this.onPageShow);
    this.change({ phase: "ended", endedBy });
    void this.call?.hangUp().catch(() => undefined);
  }

  private async connect(): Promise<void> {
    const { agentId, simulator, simulation } = this.options;
    const options = { ...this.options, sessionId: this.sessionId };
    const events = {
      onTurn: (turn: Turn) => this.change({ turns: [...this.now.turns, turn] }),
      onMode: (mode: Mode) => this.change({ mode }),
      onDisconnect: () => this.end("disconnect"),
    };
    try {
      const call =
        agentId !== null
          ? await (await import("./calls/elevenlabs")).startElevenLabsCall(options, events)
          : await startSimulatedCall(options, simulation, simulator, events);
      this.call = call;
      if (this.now.phase === "ended") return void call.hangUp().catch(() => undefined);
      this.interview.conversationId = call.conversationId;
      this.keep();
      this.change({ phase: "live" });
    } catch (error) {
      if (this.now.phase === "ended") return;
      this.change({ trouble: error instanceof Error ? error.message : String(error) });
      this.end("disconnect");
    }
  }

  private keep(): void {
    keepSession(this.options.user, {
      sessionId: this.sessionId,
      conversationId: this.interview.conversationId ?? null,
      role: this.options.role,
      startedAt: this.startedAt,
    });
  }

  private change(change: Partial<LiveState>): void {
    this.now = { ...this.now, ...change };
    for (const listener of this.listeners) listener();
  }
}
