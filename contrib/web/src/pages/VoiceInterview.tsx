import { useEffect, useRef, useState, useSyncExternalStore, type FormEvent } from "react";
import type { Turn } from "../calls/call";
import type { LiveInterview, LiveState } from "../live";
import { Page } from "../parts/Frame";
import { clock, useSeconds } from "../parts/time";
import { go } from "../router";
import { resultsPath } from "../sessions";

/** The interview while it lasts. However it ends, the results are next. */
export function VoiceInterview({ live }: { live: LiveInterview }) {
  const state = useSyncExternalStore(live.subscribe, live.state);
  const seconds = useSeconds(live.startedAt);
  const path = resultsPath({ sessionId: live.sessionId, conversationId: live.interview.conversationId });

  useEffect(() => {
    // An interview that could not begin says so here, and goes no further by itself.
    if (state.phase === "ended" && state.trouble === null) go(path, { replace: true });
  }, [state.phase, state.trouble, path]);

  if (state.trouble !== null) {
    return (
      <Page title="The interview could not begin" lead="The interviewer can’t be reached, or the microphone can’t be used.">
        <p className="hint">{state.trouble}</p>
        <div className="actions"><a className="button primary" href="/">Back to the start</a></div>
      </Page>
    );
  }
  return (
    <Page title={live.options.role}>
      <div className="call">
        <Presence state={state} />
        <p className="call-status" role="status">{words(state)}</p>
        <p className="call-time"><span className="sr-only">Elapsed: </span>{clock(seconds)}</p>
      </div>
      <Conversation turns={state.turns} />
      {state.phase === "live" && <Answer onSay={(text) => live.say(text)} />}
      <div className="actions end">
        {live.canMute && (
          <button type="button" aria-pressed={state.muted} onClick={() => live.setMuted(!state.muted)}>
            {state.muted ? "Unmute" : "Mute"}
          </button>
        )}
        <button type="button" className="danger" onClick={() => live.end("user")}>End interview</button>
      </div>
    </Page>
  );
}

function words({ phase, mode, muted }: LiveState): string {
  if (phase === "connecting") return "Connecting…";
  if (phase === "ended") return "The interview has ended.";
  if (mode === "speaking") return "The interviewer is speaking";
  return muted ? "You are muted" : "It’s your turn";
}

/** Who has the word, for the eye alone: the words beside it say the same. */
function Presence({ state }: { state: LiveState }) {
  const kind = state.phase === "live" ? state.mode : "waiting";
  return (
    <svg className={`presence ${kind}`} viewBox="0 0 84 40" aria-hidden="true">
      {[0, 1, 2, 3, 4, 5, 6].map((bar) => (
        <rect key={bar} x={bar * 13} y="4" width="6" height="32" rx="3" className={`bar bar-${bar}`} />
      ))}
    </svg>
  );
}

function Conversation({ turns }: { turns: Turn[] }) {
  const end = useRef<HTMLLIElement>(null);
  useEffect(() => {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    end.current?.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  }, [turns.length]);
  return (
    <div className="talk" role="log" aria-label="Conversation" tabIndex={0}>
      <ol>
        {turns.map((turn, index) => (
          <li key={index} className={turn.role} ref={index === turns.length - 1 ? end : null}>
            <span className="speaker">{turn.role === "agent" ? "Interviewer" : "You"}</span>
            <p>{turn.message}</p>
          </li>
        ))}
      </ol>
    </div>
  );
}

function Answer({ onSay }: { onSay: (text: string) => void }) {
  const [text, setText] = useState("");
  const submit = (event?: FormEvent) => {
    event?.preventDefault();
    if (text.trim() === "") return;
    onSay(text.trim());
    setText("");
  };
  return (
    <form className="answer" onSubmit={submit}>
      <label htmlFor="answer" className="sr-only">Your answer</label>
      <textarea
        id="answer" rows={2} value={text} placeholder="Type your answer" enterKeyHint="send"
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
            event.preventDefault();
            submit();
          }
        }}
      />
      <button type="submit">Send</button>
    </form>
  );
}
