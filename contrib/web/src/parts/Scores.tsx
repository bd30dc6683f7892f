import type { Criterion } from "@debrief/client";
import { nameInWords } from "./words";

/** Bars for the criteria that have a score. A screen reader gets them as one sentence. */
export function Scores({ criteria }: { criteria: Record<string, Criterion> }) {
  const rows = Object.entries(criteria).flatMap(([id, { score, max_score: max, result }]) =>
    typeof score === "number" && typeof max === "number" && max > 0
      ? [{ name: nameInWords(id), score, max, share: Math.min(1, Math.max(0, score / max)), result: result ?? "unknown" }]
      : []);
  if (rows.length === 0) return null;
  const spoken = rows.map(({ name, score, max }) => `${name} ${score} of ${max}`).join(", ");
  return (
    <div className="scores" role="img" aria-label={`Scores: ${spoken}`}>
      {rows.map(({ name, score, max, share, result }) => (
        <div key={name} className="score" aria-hidden="true">
          <span className="label">{name}</span>
          <svg className="bar" width="100%" height="10">
            <rect width="100%" height="10" rx="5" className="track" />
            <rect width={`${share * 100}%`} height="10" rx="5" className={`value ${result}`} />
          </svg>
          <span className="number">{score} / {max}</span>
        </div>
      ))}
    </div>
  );
}
