import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DebriefError, type Progress } from "../src/index.js";
import { Browser, INTERVIEW, json, linked, never, noNetwork, problem, results, SID, token, USER, view, type Answer, type Request } from "./support.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** What a promise came to, without leaving a rejection unhandled meanwhile. */
function watch<T>(promise: Promise<T>) {
  const seen: { value?: T; error?: unknown; at?: number } = {};
  promise.then(
    (value) => Object.assign(seen, { value, at: Date.now() }),
    (error: unknown) => Object.assign(seen, { error, at: Date.now() }),
  );
  return seen;
}

const etagOf = (body: unknown) => `"${JSON.stringify(body).length}-${JSON.stringify(body).slice(-30).replace(/\W/g, "")}"`;
const full = (body: unknown, headers = {}) => json(body, 200, { ETag: etagOf(body), ...headers });
const unchanged = (headers = {}) => new Response(null, { status: 304, headers });

/** A server that holds polls as Debrief does; the session is null while it is unknown. */
class Parking {
  private readonly parked = new Set<() => void>();

  constructor(private session: unknown) {}

  set(session: unknown): void {
    this.session = session;
    for (const wake of this.parked) wake();
  }

  readonly answer = (request: Request): Answer => {
    const headers = { "Preference-Applied": request.headers["Prefer"]! };
    const current = () => this.session !== null && etagOf(this.session) !== request.headers["If-None-Match"];
    if (current()) return full(this.session, headers);
    return new Promise((resolve) => {
      const wake = () => current() && settle(full(this.session, headers));
      const settle = (response: Response) => {
        clearTimeout(timer);
        this.parked.delete(wake);
        resolve(response);
      };
      const waitMs = Number(/wait=(\d+)/.exec(request.headers["Prefer"]!)![1]) * 1000;
      const timer = setTimeout(() => settle(this.session === null ? problem(404, headers) : unchanged(headers)), waitMs);
      this.parked.add(wake);
    });
  };
}

/** A server that answers at once. */
function plain(state: () => unknown, headers: Record<string, string> = {}) {
  return (request: Request): Answer => {
    const now = state();
    if (now === null) return problem(404, headers);
    return etagOf(now) === request.headers["If-None-Match"] ? unchanged(headers) : full(now, headers);
  };
}

describe("finding the interview, parked", () => {
  it("makes one request in 25 s, with the ETag of the last answer", async () => {
    const browser = new Browser(new Parking(view()).answer);
    const found = watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(58_900);
    expect(browser.requests.map((request) => request.at - browser.requests[0]!.at)).toEqual([0, 0, 25_000, 50_000]);
    expect(browser.requests.map((request) => request.headers["Prefer"])).toEqual(["wait=25", "wait=25", "wait=25", "wait=9"]);
    expect(browser.requests[0]!.headers["If-None-Match"]).toBe('"-"');
    expect(browser.requests[1]!.headers["If-None-Match"]).toBe(etagOf(view()));
    await vi.advanceTimersByTimeAsync(2_000);
    expect(found.error).toMatchObject({ code: "timeout" });
  });

  it("is there the moment the held request is answered", async () => {
    const server = new Parking(view());
    const browser = new Browser(server.answer);
    const found = watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(8_000);
    expect(found.at).toBeUndefined();
    server.set(linked("pending"));
    await vi.advanceTimersByTimeAsync(0);
    expect(found.value).toMatchObject({ interviewId: INTERVIEW });
    expect(browser.requests).toHaveLength(2);
  });

  it("waits for a session that is still on its way", async () => {
    const server = new Parking(null);
    const browser = new Browser(server.answer);
    const found = watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(40_000);
    expect(browser.requests).toHaveLength(2);
    server.set(linked("pending"));
    await vi.advanceTimersByTimeAsync(0);
    expect(found.value).toMatchObject({ interviewId: INTERVIEW });
  });

  it("tells a session that nobody knows from one that takes its time", async () => {
    const browser = new Browser(new Parking(null).answer);
    const found = watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(61_000);
    expect(found.error).toMatchObject({ code: "not-found" });
  });

  it("backs off from a server that says it waits and does not", async () => {
    const browser = new Browser((request) =>
      request.headers["If-None-Match"] === '"-"'
        ? full(view(), { "Preference-Applied": "wait=25" })
        : unchanged({ "Preference-Applied": "wait=25" }));
    watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(59_000);
    // 0, 0, then after 1, 2, 4, 8, 10, 10, 10, 10 s
    expect(browser.requests.length).toBeLessThanOrEqual(10);
    expect(browser.requests.length).toBeGreaterThanOrEqual(8);
  });

  it("backs off from one that sends the same thing again and again", async () => {
    const browser = new Browser(() => full(view(), { "Preference-Applied": "wait=25" }));
    watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(59_000);
    expect(browser.requests.length).toBeLessThanOrEqual(10);
  });
});

describe("finding the interview, polling", () => {
  it("asks every second where nothing is held", async () => {
    const browser = new Browser(plain(() => view()));
    const found = watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(10_500);
    expect(browser.requests).toHaveLength(11);
    expect(browser.requests[5]!.headers["If-None-Match"]).toBe(etagOf(view()));
    browser.answer = plain(() => linked("pending"));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(found.value).toEqual(linked("pending"));
  });

  it("obeys Retry-After", async () => {
    const browser = new Browser(plain(() => view(), { "Retry-After": "5" }));
    watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(20_500);
    expect(browser.requests).toHaveLength(5);
  });

  it("takes a 404 for not yet", async () => {
    let known = false;
    const browser = new Browser(plain(() => (known ? linked("complete") : null)));
    const found = watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(30_000);
    known = true;
    await vi.advanceTimersByTimeAsync(1_500);
    expect(found.value).toMatchObject({ interviewId: INTERVIEW });
  });

  it("takes it for an answer after a minute", async () => {
    const browser = new Browser(plain(() => null));
    const found = watch(browser.client.waitForInterview(SID, { timeoutMs: 300_000 }));
    await vi.advanceTimersByTimeAsync(59_000);
    expect(found.at).toBeUndefined();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(found.error).toMatchObject({ code: "not-found", status: 404 });
  });

  it("gives up after a minute", async () => {
    const browser = new Browser(plain(() => view()));
    const began = Date.now();
    const found = watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(61_000);
    expect(found.error).toBeInstanceOf(DebriefError);
    expect(found.error).toMatchObject({ code: "timeout" });
    expect(found.at! - began).toBeGreaterThanOrEqual(60_000);
    const count = browser.requests.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(browser.requests).toHaveLength(count);
  });

  it("gives up after a minute though the request hangs", async () => {
    const browser = new Browser(never);
    const found = watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(61_000);
    expect(found.error).toMatchObject({ code: "timeout" });
  });

  it("says why an interview failed", async () => {
    const browser = new Browser(plain(() => view({ status: "failed", reason: "webhook_never_arrived" })));
    const found = watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(0);
    expect(found.error).toMatchObject({ code: "failed", reason: "webhook_never_arrived" });
  });

  it("ends at once when it is aborted, with the abort's reason", async () => {
    for (const answer of [plain(() => view()), never]) {
      const browser = new Browser(answer);
      const controller = new AbortController();
      const found = watch(browser.client.waitForInterview(SID, { signal: controller.signal }));
      await vi.advanceTimersByTimeAsync(2_500);
      controller.abort();
      await vi.advanceTimersByTimeAsync(0);
      expect(found.error).toBe(controller.signal.reason);
      const count = browser.requests.length;
      await vi.advanceTimersByTimeAsync(60_000);
      expect(browser.requests).toHaveLength(count);
    }
  });

  it("outlives a server that is away, less and less often asked", async () => {
    const browser = new Browser(() => problem(503));
    const troubles: unknown[] = [];
    const found = watch(browser.client.waitForInterview(SID, { onProgress: (progress) => troubles.push(progress.trouble) }));
    await vi.advanceTimersByTimeAsync(40_000);
    expect(browser.requests.length).toBeLessThan(10);
    browser.answer = plain(() => linked("complete"));
    await vi.advanceTimersByTimeAsync(13_000);
    expect(found.value).toMatchObject({ interviewId: INTERVIEW });
    expect(troubles).toContain("unavailable");
    expect(troubles.at(-1)).toBeNull();
  });

  it("goes on as soon as the network is back", async () => {
    const browser = new Browser(noNetwork);
    browser.isOnline = false;
    let progress: Progress | undefined;
    const found = watch(browser.client.waitForInterview(SID, { onProgress: (now) => (progress = now) }));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(progress!.trouble).toBe("offline");
    browser.isOnline = true;
    browser.answer = plain(() => linked("complete"));
    browser.emit("online");
    await vi.advanceTimersByTimeAsync(10);
    expect(found.value).toMatchObject({ interviewId: INTERVIEW });
  });

  it("survives an answer that isn't JSON", async () => {
    const browser = new Browser(() => new Response("<html>Please log in to the Wi-Fi", { status: 200 }));
    const found = watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(5_000);
    browser.answer = plain(() => linked("complete"));
    await vi.advanceTimersByTimeAsync(13_000);
    expect(found.value).toMatchObject({ interviewId: INTERVIEW });
  });

  it("asks for another token once, and says when that is refused too", async () => {
    const browser = new Browser(() => problem(401));
    let count = 0;
    browser.token = () => token(USER, { salt: `s${count++}` });
    const found = watch(browser.client.waitForInterview(SID));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(found.error).toMatchObject({ code: "unauthorized", status: 401 });
    expect(browser.requests).toHaveLength(2);
  });
});

describe("the phases", () => {
  function server(state: { view: unknown; results: unknown }) {
    return (request: Request): Answer => {
      if (request.path.includes("/by-session/")) return plain(() => state.view)(request);
      return request.headers["If-None-Match"] === etagOf(state.results) ? unchanged() : full(state.results);
    };
  }

  it("come one after another", async () => {
    const state = { view: view(), results: results("pending") };
    const browser = new Browser(server(state));
    const phases: string[] = [];
    const onResults = vi.fn();
    const done = watch(browser.client.waitForResults(SID, {
      onResults,
      onProgress: ({ phase }) => phases.at(-1) !== phase && phases.push(phase),
    }));
    await vi.advanceTimersByTimeAsync(3_100);
    state.view = linked("pending");
    await vi.advanceTimersByTimeAsync(3_000);
    expect(onResults).toHaveBeenCalledWith(results("pending"));
    state.view = linked("complete");
    state.results = results("complete");
    await vi.advanceTimersByTimeAsync(3_000);
    expect(done.value).toEqual(results("complete"));
    expect(phases).toEqual(["finding", "fetching", "evaluating", "done"]);
  });

  it("poll every two seconds for the evaluation", async () => {
    const state = { view: linked("pending"), results: results("pending") };
    const browser = new Browser(server(state));
    const done = watch(browser.client.waitForEvaluation(INTERVIEW, { sessionId: SID }));
    await vi.advanceTimersByTimeAsync(20_500);
    expect(browser.to("/api/interviews/by-session/")).toHaveLength(11);
    expect(browser.requests).toHaveLength(11);
    await vi.advanceTimersByTimeAsync(40_000);
    expect(done.error).toMatchObject({ code: "timeout" });
  });

  it("skip the wait when all is there already", async () => {
    const browser = new Browser(server({ view: linked("complete"), results: results("complete") }));
    await expect(browser.client.waitForResults(SID)).resolves.toEqual(results("complete"));
    expect(browser.requests).toHaveLength(2);
  });

  it("end well with an evaluation that failed: the transcript is there", async () => {
    const browser = new Browser(server({ view: linked("failed", "no_analysis"), results: results("failed") }));
    await expect(browser.client.waitForResults(SID)).resolves.toEqual(results("failed"));
  });

  it("ask the results themselves where no session is known", async () => {
    const state = { view: null, results: results("pending") };
    const browser = new Browser(server(state));
    const done = watch(browser.client.waitForEvaluation(INTERVIEW));
    await vi.advanceTimersByTimeAsync(6_500);
    expect(browser.requests).toHaveLength(4);
    expect(browser.requests[3]!.headers["If-None-Match"]).toBe(etagOf(results("pending")));
    state.results = results("complete");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(done.value).toEqual(results("complete"));
  });

  it("say when the results are not this user's", async () => {
    const browser = new Browser(() => problem(404));
    const done = watch(browser.client.fetchResults(INTERVIEW));
    await vi.advanceTimersByTimeAsync(0);
    expect(done.error).toMatchObject({ code: "not-found", message: "it is 404" });
  });
});
