import { useMemo, useState, type ChangeEvent, type FormEvent } from "react";
import type { Simulation, WebhookBehaviour } from "../calls/simulated";
import { Page } from "../parts/Frame";
import { keptSessions, resultsPath } from "../sessions";

export interface Choice {
  role: string;
  resume: string;
  simulation: Simulation;
}

const ROLES = ["Backend engineer", "Data analyst", "Product designer", "Nurse manager"];
const OTHER = "other";
const RESUME_MAX = 8_000;

const BEHAVIOURS: { value: WebhookBehaviour; label: string; hint: string }[] = [
  { value: "at-once", label: "At once", hint: "the usual case, sped up" },
  { value: "after-5s", label: "After 5 seconds", hint: "the usual case" },
  { value: "after-70s", label: "After 70 seconds", hint: "longer than the page waits" },
  { value: "twice", label: "Twice", hint: "a repeat must change nothing" },
  { value: "never", label: "Never", hint: "lost on the way" },
  { value: "evaluation-failed", label: "Without an evaluation", hint: "the transcript alone" },
];

interface SetupProps {
  user: string;
  /** the results of an interview that was cut off, if one was found */
  lost: string | null;
  isOngoing: boolean;
  isSimulated: boolean;
  hasSimulator: boolean;
  onStart: (choice: Choice) => void;
}

export function Setup({ user, lost, isOngoing, isSimulated, hasSimulator, onStart }: SetupProps) {
  const [resume, setResume] = useState("");
  const [role, setRole] = useState(ROLES[0]!);
  const [otherRole, setOtherRole] = useState("");
  const [simulation, setSimulation] = useState<Simulation>({ webhook: "after-5s", hideConversationId: false });

  const submit = (event: FormEvent) => {
    event.preventDefault();
    onStart({ role: role === OTHER ? otherRole.trim() : role, resume, simulation });
  };
  return (
    <Page
      title="Your practice interview"
      lead="A conversation of a few minutes. When it is over you get the transcript and feedback on your answers."
    >
      {isOngoing && (
        <p className="notice">
          Your interview is still going on: <a href="/interview">go back to it</a>. Starting another one ends it.
        </p>
      )}
      {lost && (
        <p className="notice" role="status">
          Your last interview was cut off. What was said up to then is saved: <a href={lost}>see its results</a>.
        </p>
      )}
      <form onSubmit={submit} className="stack">
        <fieldset>
          <legend>Which role is it for?</legend>
          <div className="chips">
            {[...ROLES, OTHER].map((value) => (
              <label key={value} className="chip">
                <input type="radio" name="role" value={value} checked={role === value} onChange={() => setRole(value)} />
                <span>{value === OTHER ? "Another one" : value}</span>
              </label>
            ))}
          </div>
          {role === OTHER && (
            <div className="field">
              <label htmlFor="other-role">The role</label>
              <input
                id="other-role" type="text" required maxLength={80} value={otherRole} autoFocus
                onChange={(event) => setOtherRole(event.target.value)}
              />
            </div>
          )}
        </fieldset>

        <Resume text={resume} onChange={setResume} />
        {isSimulated && hasSimulator && <SimulationChoice value={simulation} onChange={setSimulation} />}
        {isSimulated && !hasSimulator && (
          <p className="notice">
            No voice agent is configured here and no simulated provider is running: you can hold the interview, but no
            transcript will come of it.
          </p>
        )}
        <div className="actions">
          <button type="submit" className="primary">Start the interview</button>
          <p className="hint">
            {isSimulated ? "The interviewer is simulated: you read and type." : "Your microphone is used while the interview lasts."}
          </p>
        </div>
      </form>
      <Earlier user={user} />
    </Page>
  );
}

function Resume({ text, onChange }: { text: string; onChange: (text: string) => void }) {
  const readFile = async (event: ChangeEvent<HTMLInputElement>) => {
    const file = event.target.files?.[0];
    if (file) onChange((await file.text()).slice(0, RESUME_MAX));
    event.target.value = "";
  };
  return (
    <div className="field">
      <label htmlFor="resume">Your résumé <span className="optional">optional</span></label>
      <textarea
        id="resume" rows={7} maxLength={RESUME_MAX} value={text} aria-describedby="resume-hint"
        placeholder="Paste it here as text" onChange={(event) => onChange(event.target.value)}
      />
      <div className="under">
        <p id="resume-hint" className="hint">
          The interviewer gets it, and it stays with the interview’s record.
          {text.length > RESUME_MAX * 0.9 && ` ${RESUME_MAX - text.length} characters left.`}
        </p>
        <label className="file">
          <input type="file" accept=".txt,.md,text/plain,text/markdown" onChange={(event) => void readFile(event)} />
          <span>Read a text file…</span>
        </label>
      </div>
    </div>
  );
}

function SimulationChoice({ value, onChange }: { value: Simulation; onChange: (simulation: Simulation) => void }) {
  return (
    <fieldset className="panel">
      <legend>When does the simulated provider send the transcript?</legend>
      <div className="options">
        {BEHAVIOURS.map(({ value: webhook, label, hint }) => (
          <label key={webhook} className="option">
            <input
              type="radio" name="webhook" value={webhook} checked={value.webhook === webhook}
              onChange={() => onChange({ ...value, webhook })}
            />
            <span>{label} <small>{hint}</small></span>
          </label>
        ))}
      </div>
      <label className="option">
        <input
          type="checkbox" checked={value.hideConversationId}
          onChange={(event) => onChange({ ...value, hideConversationId: event.target.checked })}
        />
        <span>Keep the conversation’s id from this page <small>as happens over WebRTC</small></span>
      </label>
    </fieldset>
  );
}

function Earlier({ user }: { user: string }) {
  const sessions = useMemo(() => keptSessions(user), [user]);
  if (sessions.length === 0) return null;
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  return (
    <section aria-labelledby="earlier" className="earlier">
      <h2 id="earlier">Earlier interviews</h2>
      <ul>
        {sessions.map((session) => (
          <li key={session.sessionId}>
            <a href={resultsPath(session)}>{session.role}</a>{" "}
            <time dateTime={new Date(session.startedAt).toISOString()}>{format.format(session.startedAt)}</time>
          </li>
        ))}
      </ul>
    </section>
  );
}
