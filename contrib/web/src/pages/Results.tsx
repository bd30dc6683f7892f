import { DebriefError, type DebriefClient, type Progress, type Results as InterviewResults } from "@debrief/client";
import { useEffect, useState } from "react";
import type { Config } from "../config";
import { Feedback } from "../parts/Feedback";
import { Page } from "../parts/Frame";
import { Steps } from "../parts/Steps";
import { Transcript } from "../parts/Transcript";
import { reasonInWords } from "../parts/words";

interface ResultsProps {
  debrief: DebriefClient;
  config: Config;
  sessionId: string;
  conversationId: string | null;
  onSignOut: () => void;
}

interface State {
  progress: Progress | null;
  results: InterviewResults | null;
  error: DebriefError | null;
  /** of this attempt */
  since: number;
}

const begin = (results: InterviewResults | null): State => ({ progress: null, results, error: null, since: Date.now() });

/** Waits for the results of one session and shows them; a transcript that is there stays while its evaluation is awaited. */
export function Results({ debrief, config, sessionId, conversationId, onSignOut }: ResultsProps) {
  const [attempt, setAttempt] = useState(0);
  const [state, setState] = useState<State>(() => begin(null));

  useEffect(() => {
    const controller = new AbortController();
    const change = (change: Partial<State>) => {
      if (!controller.signal.aborted) setState((state) => ({ ...state, ...change }));
    };
    setState((state) => begin(state.results));
    debrief
      .waitForResults(sessionId, {
        signal: controller.signal,
        findTimeoutMs: config.findTimeoutSecs * 1000,
        evaluationTimeoutMs: config.evaluationTimeoutSecs * 1000,
        onProgress: (progress) => change({ progress }),
        onResults: (results) => change({ results }),
      })
      .then(
        (results) => change({ results }),
        (error: unknown) => change({
          error: error instanceof DebriefError ? error : new DebriefError("unavailable", String(error)),
        }),
      );
    return () => controller.abort();
  }, [debrief, config, sessionId, attempt]);

  const { progress, results, error, since } = state;
  const isWaiting = error === null && (results === null || results.evaluation.status === "pending");
  return (
    <Page title={heading(state)}>
      <p className="sr-only" role="status">{heading(state)}</p>
      {isWaiting && <Steps phase={progress?.phase ?? "finding"} trouble={progress?.trouble ?? null} since={since} />}
      {error && <Trouble error={error} hasTranscript={results !== null} onRetry={() => setAttempt(attempt + 1)} onSignOut={onSignOut} />}
      {results && !isWaiting && error === null && <Feedback results={results} />}
      {results && <Transcript turns={results.interview.transcript} />}
      <footer className="fine">
        {error?.code !== "unauthorized" && <p><a href="/">Hold another interview</a></p>}
        <p>Session <span className="mono">{sessionId}</span></p>
        {(results?.interview.conversationId ?? conversationId) && (
          <p>Conversation <span className="mono">{results?.interview.conversationId ?? conversationId}</span></p>
        )}
      </footer>
    </Page>
  );
}

function heading({ progress, results, error }: State): string {
  if (error !== null) {
    switch (error.code) {
      case "timeout": return "This takes longer than usual";
      case "failed": return "This interview has no result";
      case "not-found": return "We don’t know this interview";
      case "unauthorized": return "Please sign in again";
      default: return "Something is in the way";
    }
  }
  if (results !== null && results.evaluation.status !== "pending") {
    return results.evaluation.status === "failed" ? "Your transcript" : "Your feedback";
  }
  return progress === null || progress.phase === "finding" ? "Saving your interview…" : "Generating your feedback…";
}

interface TroubleProps {
  error: DebriefError;
  hasTranscript: boolean;
  onRetry: () => void;
  onSignOut: () => void;
}

function Trouble({ error, hasTranscript, onRetry, onSignOut }: TroubleProps) {
  const { code } = error;
  return (
    <section className="trouble" role="alert">
      <p className="lead">{explanation(error, hasTranscript)}</p>
      {code === "failed" && error.reason && <p className="hint">Reason: <span className="mono">{error.reason}</span></p>}
      {(code === "rejected" || code === "unavailable") && <p className="hint">{error.message}</p>}
      {error.requestId && code !== "failed" && <p className="hint">Request <span className="mono">{error.requestId}</span></p>}
      <div className="actions">
        {code === "unauthorized" ? <button type="button" className="primary" onClick={onSignOut}>Sign in</button>
          : <button type="button" className="primary" onClick={onRetry}>{code === "failed" ? "Look again" : "Retry"}</button>}
      </div>
    </section>
  );
}

function explanation(error: DebriefError, hasTranscript: boolean): string {
  switch (error.code) {
    case "timeout":
      return hasTranscript
        ? "Your transcript is here; the feedback on it isn’t ready yet. Look again in a moment."
        : "The transcript of your interview hasn’t arrived yet. It may still come: look again in a moment, or come back to this page later.";
    case "failed": return reasonInWords(error.reason);
    case "not-found": return "It may belong to another account, or its start and its end never reached us.";
    case "unauthorized": return "Your sign-in has expired or isn’t valid here.";
    default: return "The results can’t be fetched just now.";
  }
}
