/** config.json beside index.html: what differs between places without a build of its own. */
export interface Config {
  /** Debrief's origin; "" is the page's own */
  api: string;
  /** The provider's agent. Without one, the interviewer is simulated. */
  agentId: string | null;
  /** The provider's WebSocket origin, for workspaces in another region. */
  agentOrigin: string | null;
  findTimeoutSecs: number;
  evaluationTimeoutSecs: number;
}

const DEFAULTS: Config = {
  api: "", agentId: null, agentOrigin: null, findTimeoutSecs: 60, evaluationTimeoutSecs: 60,
};

export async function loadConfig(): Promise<Config> {
  try {
    const response = await fetch("/config.json");
    return response.ok ? { ...DEFAULTS, ...((await response.json()) as Partial<Config>) } : DEFAULTS;
  } catch {
    return DEFAULTS;
  }
}
