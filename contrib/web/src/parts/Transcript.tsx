import type { Turn } from "@debrief/client";
import { clock } from "./time";

export function Transcript({ turns }: { turns: Turn[] }) {
  // What the interviewer did rather than said has no words.
  const spoken = turns.filter((turn) => turn.message);
  return (
    <section aria-labelledby="transcript" className="transcript">
      <h2 id="transcript">Transcript</h2>
      {spoken.length === 0 && <p className="hint">Nothing was said, or the provider keeps no transcripts.</p>}
      <ol>
        {spoken.map((turn, index) => (
          <li key={index} className={turn.role}>
            <p className="speaker">
              {turn.role === "agent" ? "Interviewer" : turn.role === "user" ? "You" : turn.role}
              {turn.timeInCallSecs !== null && <span className="time"> {clock(turn.timeInCallSecs)}</span>}
            </p>
            <p className="said">{turn.message}{turn.interrupted && <span className="hint"> (interrupted)</span>}</p>
          </li>
        ))}
      </ol>
    </section>
  );
}
