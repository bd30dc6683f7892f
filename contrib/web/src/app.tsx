import { DebriefClient } from "@debrief/client";
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { Config } from "./config";
import { LiveInterview } from "./live";
import { Results } from "./pages/Results";
import { Setup, type Choice } from "./pages/Setup";
import { SignInPage } from "./pages/SignInPage";
import { VoiceInterview } from "./pages/VoiceInterview";
import { Frame, Page } from "./parts/Frame";
import { go, useLocation } from "./router";
import { currentSession, resultsPath, setCurrent } from "./sessions";
import { readSignIn, signOut, type SignIn } from "./signin";

export function App({ config, initial }: { config: Config; initial: SignIn | null }) {
  const [signedIn, setSignedIn] = useState(initial);

  // Another link with a token, opened in this tab.
  useEffect(() => {
    const onHash = () => {
      const next = readSignIn();
      if (next === null) return;
      // Another user gets another page: nothing of the first one's stays in its memory.
      if (signedIn !== null && next.user !== signedIn.user) location.reload();
      else setSignedIn(next);
    };
    addEventListener("hashchange", onHash);
    return () => removeEventListener("hashchange", onHash);
  }, [signedIn]);

  if (signedIn === null) {
    return (
      <Frame>
        <SignInPage onSignIn={setSignedIn} />
      </Frame>
    );
  }
  const leave = () => {
    signOut();
    location.assign("/");
  };
  return <SignedIn config={config} signedIn={signedIn} onSignOut={leave} />;
}

function SignedIn({ config, signedIn, onSignOut }: { config: Config; signedIn: SignIn; onSignOut: () => void }) {
  const token = useRef(signedIn.token);
  token.current = signedIn.token; // a newer one of the same user
  const debrief = useMemo(() => new DebriefClient({ baseUrl: config.api, getToken: () => token.current }), [config.api]);
  const [live, setLive] = useState<LiveInterview | null>(null);
  const [lost, setLost] = useState<string | null>(null);
  const { pathname, searchParams } = useLocation();
  const isOngoing = useIsOngoing(live);

  useEffect(() => {
    debrief.recover().then(
      (found) => setLost(found[0] ? resultsPath(found[0]) : null),
      () => undefined, // the pages themselves say what is wrong with the token
    );
  }, [debrief]);

  // Another one ends the one before.
  useEffect(() => () => live?.end("disconnect"), [live]);

  const start = (choice: Choice) => {
    const started = new LiveInterview(debrief, {
      ...choice, user: signedIn.user, agentId: config.agentId, agentOrigin: config.agentOrigin,
      simulator: signedIn.simulator,
    });
    setLive(started);
    setCurrent(signedIn.user, started.sessionId);
    go("/interview");
  };

  const page = () => {
    switch (pathname) {
      case "/":
        return (
          <Setup
            user={signedIn.user} lost={lost} isSimulated={config.agentId === null}
            hasSimulator={signedIn.simulator !== null} isOngoing={isOngoing} onStart={start}
          />
        );
      case "/interview":
        return live === null ? <Interrupted user={signedIn.user} /> : <VoiceInterview live={live} />;
      case "/results":
        return (
          <Results
            key={searchParams.get("sessionId")} debrief={debrief} config={config}
            sessionId={searchParams.get("sessionId") ?? ""} conversationId={searchParams.get("conversationId")}
            onSignOut={onSignOut}
          />
        );
      default:
        return (
          <Page title="There is no such page">
            <p><a href="/">Back to the start</a></p>
          </Page>
        );
    }
  };
  return <Frame onSignOut={onSignOut}>{page()}</Frame>;
}

const nothing = () => () => undefined;

/** Whether an interview goes on behind another page. */
function useIsOngoing(live: LiveInterview | null): boolean {
  return useSyncExternalStore(live?.subscribe ?? nothing, () => live !== null && live.state().phase !== "ended");
}

/** A reload in the middle: the old page has saved the end, so its results are next. */
function Interrupted({ user }: { user: string }) {
  useEffect(() => {
    const session = currentSession(user);
    go(session === null ? "/" : resultsPath(session), { replace: true });
  }, [user]);
  return null;
}
