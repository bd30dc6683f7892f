/**
 * An interviewer that follows a script, on the line of the simulated provider. Without
 * one, it talks all the same, and nothing comes of it.
 */
import { dynamicVariables, type Call, type CallEvents, type CallOptions, type Turn } from "./call";
import { farewell, greeting, questions } from "./script";

export type WebhookBehaviour = "at-once" | "after-5s" | "after-70s" | "twice" | "never" | "evaluation-failed";

export interface Simulation {
  webhook: WebhookBehaviour;
  /** as over WebRTC, at times */
  hideConversationId: boolean;
}

const THINKING_MS = 900;
/** A line that drops is opened anew by the browser; the provider waits no longer than this either. */
const REOPEN_MS = 1_500;

export async function startSimulatedCall(
  options: CallOptions, simulation: Simulation, simulator: string | null, events: CallEvents,
): Promise<Call> {
  const provider = simulator === null ? null : await Provider.begin(simulator, options, simulation);
  let over = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const script = [greeting(options.role), ...questions(options.role, options.resume), farewell];
  let next = 0;

  const turn = (told: Turn) => {
    events.onTurn(told);
    provider?.tell(told);
  };
  const end = (byUs: boolean) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    if (!byUs) events.onDisconnect();
  };
  const speak = () => {
    events.onMode("speaking");
    timer = setTimeout(() => {
      turn({ role: "agent", message: script[next++]! });
      events.onMode("listening");
      if (next === script.length) timer = setTimeout(() => (provider === null ? end(false) : provider.leave()), THINKING_MS);
    }, THINKING_MS);
  };

  provider?.watch(() => end(false));
  speak();
  return {
    conversationId: simulation.hideConversationId ? undefined : provider?.conversationId,
    say(text) {
      if (over || next === script.length) return;
      clearTimeout(timer);
      turn({ role: "user", message: text });
      speak();
    },
    async hangUp() {
      end(true);
      await provider?.end(simulation.webhook);
    },
  };
}

/** The simulator's control interface: contrib/simulator. */
class Provider {
  private line: EventSource | null = null;
  private told: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly base: string,
    readonly conversationId: string,
  ) {}

  static async begin(simulator: string, options: CallOptions, simulation: Simulation): Promise<Provider> {
    const answer = await post(`${simulator}/sim/conversations`, {
      user_id: options.user,
      dynamic_variables: dynamicVariables(options),
      webhook: simulation.webhook,
    });
    const { conversation_id: id } = (await answer.json()) as { conversation_id: string };
    return new Provider(`${simulator}/sim/conversations/${encodeURIComponent(id)}`, id);
  }

  /** In the order in which things were said. */
  tell(turn: Turn): void {
    this.told = this.told.then(() => post(`${this.base}/turns`, turn)).catch(() => undefined);
  }

  /** Calls `onLost` once, when the provider ends the call or the network does. */
  watch(onLost: () => void): void {
    let reopening: ReturnType<typeof setTimeout> | undefined;
    const lost = () => {
      clearTimeout(reopening);
      removeEventListener("offline", lost);
      if (this.line === null) return;
      this.close();
      onLost();
    };
    const line = new EventSource(`${this.base}/line`);
    this.line = line;
    line.addEventListener("disconnect", lost);
    line.addEventListener("open", () => clearTimeout(reopening));
    line.addEventListener("error", () => {
      if (line.readyState === EventSource.CLOSED) return lost();
      clearTimeout(reopening);
      reopening = setTimeout(lost, REOPEN_MS);
    });
    addEventListener("offline", lost);
  }

  /** The interviewer says goodbye: the line will tell. */
  leave(): void {
    void this.told.then(() => post(`${this.base}/hangup`, { reason: "agent" })).catch(() => undefined);
  }

  async end(webhook: WebhookBehaviour): Promise<void> {
    this.close();
    await this.told;
    await post(`${this.base}/end`, { webhook });
  }

  private close(): void {
    this.line?.close();
    this.line = null;
  }
}

async function post(url: string, body: unknown): Promise<Response> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    keepalive: true,
  });
  if (!response.ok) throw new Error(`the simulated provider answered ${response.status}`);
  return response;
}
