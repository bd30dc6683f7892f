import type { Progress } from "@debrief/client";
import { useSeconds } from "./time";

const STEPS = ["Interview", "Transcript", "Feedback"];

/** How far it has got, with the seconds counting, so that it is seen to move. */
export function Steps({ phase, trouble, since }: { phase: Progress["phase"]; trouble: Progress["trouble"]; since: number }) {
  const seconds = useSeconds(since);
  const done = phase === "finding" ? 1 : phase === "done" ? 3 : 2;
  return (
    <section className="waiting" aria-label="Progress">
      <ol className="steps">
        {STEPS.map((name, index) => (
          <li key={name} className={index < done ? "done" : index === done ? "current" : "to-come"}
            aria-current={index === done ? "step" : undefined}>
            <span className="dot" aria-hidden="true" />
            <span>{name}<span className="sr-only">{index < done ? ", done" : index === done ? ", in progress" : ", to come"}</span></span>
          </li>
        ))}
      </ol>
      <p className="waited">
        <span className="seconds">{seconds} s</span>
        <span role="status">{trouble ? inTheWay(trouble) : patience(phase, seconds)}</span>
      </p>
    </section>
  );
}

function inTheWay(trouble: "offline" | "unavailable"): string {
  return trouble === "offline"
    ? "You are offline. Your interview is kept here and sent as soon as you are back."
    : "The server can’t answer just now. We keep trying.";
}

function patience(phase: Progress["phase"], seconds: number): string {
  if (phase !== "finding") return "Your answers are being looked at.";
  if (seconds < 10) return "The transcript is on its way.";
  if (seconds < 30) return "Long interviews take a little longer.";
  return "Still nothing; it can take a minute. You may leave this page and come back.";
}
