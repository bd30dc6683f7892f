/** Reasons as Debrief gives them, for people. Providers add their own, so any text can come. */
const REASONS: Record<string, string> = {
  webhook_never_arrived: "The voice provider never sent the transcript of this interview. If it still comes, you will find it here.",
  evaluation_timeout: "The feedback was not ready in time.",
  no_analysis: "The voice provider sent the transcript without any feedback on it.",
  "no-answer": "The call was not answered.",
  busy: "The line was busy.",
};

export function reasonInWords(reason: string | null): string {
  if (reason === null) return "The interview failed, and no reason was given.";
  return REASONS[reason] ?? "The voice provider says that the interview failed.";
}

/** years_of_experience → Years of experience */
export function nameInWords(name: string): string {
  const words = name.replace(/[_-]+/g, " ").replace(/([a-z])([A-Z])/g, "$1 $2").trim().toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function valueInWords(value: unknown): string {
  if (value === null || value === undefined || value === "") return "not mentioned";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  if (typeof value === "number") return new Intl.NumberFormat().format(value);
  return JSON.stringify(value);
}
