/** An interviewer on the line, real or simulated. */
export interface Turn {
  role: "agent" | "user";
  message: string;
}

export type Mode = "listening" | "speaking";

export interface CallOptions {
  sessionId: string;
  user: string;
  agentId: string | null;
  agentOrigin: string | null;
  role: string;
  resume: string;
}

export interface CallEvents {
  onTurn(turn: Turn): void;
  onMode(mode: Mode): void;
  /** Once, when the line is gone and nobody here has hung up. */
  onDisconnect(): void;
}

export interface Call {
  /** as soon as the provider tells it; some never do */
  readonly conversationId: string | undefined;
  say(text: string): void;
  hangUp(): Promise<void>;
  /** where there is a microphone */
  setMuted?(muted: boolean): void;
}

/** What the provider gets with the conversation; it comes back in the webhook, and so finds the session. */
export function dynamicVariables(options: CallOptions): Record<string, string> {
  return {
    client_session_id: options.sessionId,
    user_id: options.user,
    role: options.role,
    resume: options.resume,
  };
}
