/**
 * The browser's side of Debrief.
 *
 *     const debrief = new DebriefClient({ getToken: () => session.token });
 *     await debrief.recover();
 *     const interview = debrief.startInterview({ agentId });
 *     …
 *     interview.end("user");
 *     const results = await debrief.waitForResults(interview.sessionId);
 */
export { DebriefClient, type ClientOptions, type ResultsOptions } from "./client.js";
export { DebriefError, type ErrorCode } from "./errors.js";
export type { Interview } from "./interview.js";
export type { Platform } from "./platform.js";
export type { FoundInterview } from "./results.js";
export { readToken, type GetToken, type Token } from "./token.js";
export type * from "./types.js";
