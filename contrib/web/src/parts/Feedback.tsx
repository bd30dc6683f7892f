import type { CollectedItem, Criterion, EvaluationResult, Results } from "@debrief/client";
import { Scores } from "./Scores";
import { length } from "./time";
import { nameInWords, reasonInWords, valueInWords } from "./words";

export function Feedback({ results }: { results: Results }) {
  const { interview, evaluation } = results;
  if (evaluation.status === "failed") {
    return (
      <section className="notice" aria-label="Feedback">
        <p>There is no feedback on this interview. {reasonInWords(evaluation.reason)}</p>
        {evaluation.reason && <p className="hint">Reason: <span className="mono">{evaluation.reason}</span></p>}
      </section>
    );
  }
  const result = evaluation.result ?? {};
  const { summary = interview.summary, title, criteria = {}, dataCollection = {}, callSuccessful, callSuccessScore, ...other } = result;
  return (
    <>
      <section aria-label="Summary" className="summary">
        {title && <p className="title">{title}</p>}
        {summary && <p className="lead">{summary}</p>}
        <dl className="facts">
          {interview.durationSecs !== null && <Fact name="Length" value={length(interview.durationSecs)} />}
          {callSuccessful && <Fact name="Overall" value={OUTCOMES[callSuccessful] ?? callSuccessful} />}
          {typeof callSuccessScore === "number" && <Fact name="Score" value={`${callSuccessScore}`} />}
        </dl>
      </section>
      <Criteria criteria={criteria} />
      <Collected items={dataCollection} />
      <Other fields={other} />
    </>
  );
}

const OUTCOMES: Record<string, string> = { success: "Successful", failure: "Not successful", unknown: "Undecided" };
const MARKS: Record<string, string> = { success: "Met", failure: "Not met", unknown: "Unclear" };

function Fact({ name, value }: { name: string; value: string }) {
  return <div><dt>{name}</dt><dd>{value}</dd></div>;
}

function Criteria({ criteria }: { criteria: Record<string, Criterion> }) {
  const entries = Object.entries(criteria);
  if (entries.length === 0) return null;
  return (
    <section aria-labelledby="criteria">
      <h2 id="criteria">Criteria</h2>
      <Scores criteria={criteria} />
      <ul className="criteria">
        {entries.map(([id, criterion]) => (
          <li key={id}>
            <h3>{nameInWords(id)} <span className={`mark ${criterion.result ?? "unknown"}`}>{MARKS[criterion.result ?? "unknown"] ?? criterion.result}</span></h3>
            {criterion.rationale && <p>{criterion.rationale}</p>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Collected({ items }: { items: Record<string, CollectedItem> }) {
  const entries = Object.entries(items);
  if (entries.length === 0) return null;
  return (
    <section aria-labelledby="collected">
      <h2 id="collected">What we noted</h2>
      <dl className="collected">
        {entries.map(([id, item]) => (
          <div key={id}>
            <dt>{nameInWords(id)}</dt>
            <dd>{valueInWords(item?.value)}{item?.rationale && <p className="hint">{item.rationale}</p>}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

/** An evaluator outside may say things of its own. */
function Other({ fields }: { fields: EvaluationResult }) {
  const entries = Object.entries(fields);
  if (entries.length === 0) return null;
  return (
    <section aria-labelledby="other">
      <h2 id="other">More</h2>
      <dl className="collected">
        {entries.map(([name, value]) => (
          <div key={name}><dt>{nameInWords(name)}</dt><dd>{valueInWords(value)}</dd></div>
        ))}
      </dl>
    </section>
  );
}
