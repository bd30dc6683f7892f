/**
 * Who is signed in. A real application has its own login; this one is opened with a token
 * in the fragment of its address, which no server sees and which is removed at once. The
 * tab keeps it for reloads.
 */
import { readToken } from "@debrief/client";

export interface SignIn {
  token: string;
  user: string;
  /** the control address of a simulated provider, if there is one */
  simulator: string | null;
}

const TOKEN = "debrief.web.token";
const SIMULATOR = "debrief.web.simulator";

/** The fragment's, else what this tab has kept. */
export function readSignIn(): SignIn | null {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get("token");
  if (given !== null) {
    history.replaceState(history.state, "", location.pathname + location.search);
    return signIn(given, fragment.get("sim"));
  }
  const kept = sessionStorage.getItem(TOKEN);
  return kept === null ? null : made(kept, sessionStorage.getItem(SIMULATOR));
}

/** null if that isn't a token of a user. */
export function signIn(token: string, simulator: string | null): SignIn | null {
  const made_ = made(token.trim(), simulator);
  if (made_ === null) return null;
  sessionStorage.setItem(TOKEN, made_.token);
  if (simulator === null) sessionStorage.removeItem(SIMULATOR);
  else sessionStorage.setItem(SIMULATOR, simulator);
  return made_;
}

export function signOut(): void {
  sessionStorage.removeItem(TOKEN);
  sessionStorage.removeItem(SIMULATOR);
}

function made(token: string, simulator: string | null): SignIn | null {
  const { sub } = readToken(token);
  if (sub === null) return null;
  return { token, user: sub, simulator: simulator?.replace(/\/+$/, "") || null };
}
