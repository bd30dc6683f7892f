import type { Criterion } from "@debrief/client";
import { nameInWords } from "./words";

const ROW = 34;
const LABEL_WIDTH = 210;
const WIDTH = 560;
const BAR_WIDTH = WIDTH - LABEL_WIDTH - 60;

/** Bars for the criteria that have a score. A screen reader gets them as one sentence. */
export function Scores({ criteria }: { criteria: Record<string, Criterion> }) {
  const rows = Object.entries(criteria).flatMap(([id, { score, max_score: max, result }]) =>
    typeof score === "number" && typeof max === "number" && max > 0
      ? [{ name: nameInWords(id), score, max, share: Math.min(1, Math.max(0, score / max)), result: result ?? "unknown" }]
      : []);
  if (rows.length === 0) return null;
  const spoken = rows.map(({ name, score, max }) => `${name} ${score} of ${max}`).join(", ");
  return (
    <svg className="scores" viewBox={`0 0 ${WIDTH} ${rows.length * ROW}`} role="img" aria-label={`Scores: ${spoken}`}>
      {rows.map(({ name, score, max, share, result }, index) => (
        <g key={name} transform={`translate(0 ${index * ROW})`}>
          <text x="0" y="22" className="label">{name}</text>
          <rect x={LABEL_WIDTH} y="12" width={BAR_WIDTH} height="10" rx="5" className="track" />
          <rect x={LABEL_WIDTH} y="12" width={BAR_WIDTH * share} height="10" rx="5" className={`value ${result}`} />
          <text x={WIDTH} y="22" textAnchor="end" className="number">{score} / {max}</text>
        </g>
      ))}
    </svg>
  );
}
