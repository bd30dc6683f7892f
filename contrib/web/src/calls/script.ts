/** What the simulated interviewer says. */
export function greeting(role: string): string {
  return `Hello, and welcome. We have about twenty minutes for the ${role} position. Shall we begin?`;
}

export function questions(role: string, resume: string): string[] {
  return [
    resume.trim() === ""
      ? `What drew you to the ${role} position, and what have you done before?`
      : `I have your résumé here; thank you. Which part of it matters most for the ${role} position?`,
    "Tell me about a problem at work that took you longer than you expected. How did you find out what was really wrong?",
    "How do you decide what to leave undone when there isn't time for everything?",
    "And what would you like to ask us?",
  ];
}

export const farewell = "Thank you, that was a pleasure. Your feedback will be ready in a moment. Goodbye.";
