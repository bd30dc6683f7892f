/**
 * The interviews that this browser knows of, for each user apart. One key a session, so
 * that two tabs don't overwrite each other.
 */
export interface KeptSession {
  sessionId: string;
  conversationId: string | null;
  role: string;
  startedAt: number;
}

const SHOWN = 5;
const prefix = (user: string) => `debrief.web.session.${user}.`;

export function keepSession(user: string, session: KeptSession): void {
  try {
    localStorage.setItem(prefix(user) + session.sessionId, JSON.stringify(session));
    for (const old of allSessions(user).slice(20)) localStorage.removeItem(prefix(user) + old.sessionId);
  } catch {
    // Only the list of earlier interviews suffers.
  }
}

/** The newest first. */
export function keptSessions(user: string): KeptSession[] {
  return allSessions(user).slice(0, SHOWN);
}

function allSessions(user: string): KeptSession[] {
  const found: KeptSession[] = [];
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(prefix(user))) found.push(JSON.parse(localStorage.getItem(key)!) as KeptSession);
    }
  } catch {
    return [];
  }
  return found.sort((a, b) => b.startedAt - a.startedAt);
}

/** The interview that this tab is in, for a reload: whose it is, and which. */
const CURRENT = "debrief.web.current";

export function setCurrent(user: string, sessionId: string | null): void {
  if (sessionId === null) sessionStorage.removeItem(CURRENT);
  else sessionStorage.setItem(CURRENT, `${user} ${sessionId}`);
}

export function currentSession(user: string): KeptSession | null {
  const [owner, sessionId] = (sessionStorage.getItem(CURRENT) ?? "").split(" ");
  if (owner !== user) return null;
  return allSessions(user).find((session) => session.sessionId === sessionId) ?? null;
}

export function resultsPath(session: { sessionId: string; conversationId?: string | null | undefined }): string {
  const query = new URLSearchParams({ sessionId: session.sessionId });
  if (session.conversationId) query.set("conversationId", session.conversationId);
  return `/results?${query}`;
}
