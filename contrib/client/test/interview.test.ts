import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Browser, FakeLocks, FakeStorage, noNetwork, OTHER, problem, saved, token } from "./support.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const settle = () => vi.advanceTimersByTimeAsync(0);
const ends = (browser: Browser) => browser.requests.filter((request) => request.body?.["ended_by"]);

describe("an interview", () => {
  it("has a UUID of its own and is registered", async () => {
    const browser = new Browser(saved);
    const interview = browser.client.startInterview({ agentId: "agent_1" });
    expect(interview.sessionId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    await expect(interview.registered).resolves.toBe(true);
    expect(browser.requests[0]!.body).toEqual({ client_session_id: interview.sessionId, agent_id: "agent_1" });
  });

  it("is registered once the server can take it, but never after its end", async () => {
    const browser = new Browser(() => problem(503));
    const interview = browser.client.startInterview();
    await vi.advanceTimersByTimeAsync(4_000);
    const tries = browser.requests.length;
    expect(tries).toBe(3);
    browser.answer = saved;
    await interview.end("user");
    await expect(interview.registered).resolves.toBe(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(browser.requests).toHaveLength(tries + 1);
  });

  it("ends once, though a click, the provider and pagehide all say so", async () => {
    const browser = new Browser(saved);
    const interview = browser.client.startInterview();
    await settle();
    void interview.end("user");
    void interview.end("disconnect");
    browser.emit("pagehide");
    await settle();
    expect(ends(browser).map((request) => request.body!["ended_by"])).toEqual(["user"]);
  });

  it("is saved in pagehide itself", async () => {
    const browser = new Browser(saved);
    const interview = browser.client.startInterview();
    await settle();
    interview.conversationId = "conv_1";
    browser.emit("pagehide");
    // Nothing was awaited: the page may be gone by now.
    expect(ends(browser)).toHaveLength(1);
    expect(ends(browser)[0]!.body).toMatchObject({ ended_by: "disconnect", conversation_id: "conv_1" });
    expect(ends(browser)[0]!.init.keepalive).toBe(true);
  });

  it("has a token at hand however long it takes", async () => {
    const browser = new Browser(saved);
    browser.token = () => token(undefined, { ttlSecs: 300 });
    browser.client.startInterview();
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(browser.getToken.mock.calls.length).toBeGreaterThan(10);
    browser.emit("pagehide");
    expect(ends(browser)).toHaveLength(1);
  });
});

describe("a browser that was killed", () => {
  async function kill(locks: FakeLocks | null, storage: FakeStorage): Promise<string> {
    const killed = new Browser(saved, { storage, locks });
    const interview = killed.client.startInterview({ agentId: "agent_1" });
    await vi.advanceTimersByTimeAsync(12_000);
    interview.conversationId = "conv_1";
    const text = storage.getItem(`debrief.live.${interview.sessionId}`)!;
    await interview.end("user"); // stops its timers; what a kill leaves behind is put back
    storage.setItem(`debrief.live.${interview.sessionId}`, text);
    return interview.sessionId;
  }

  it("is found by the next page, which saves when it was last seen", async () => {
    const storage = new FakeStorage();
    const locks = new FakeLocks();
    const sessionId = await kill(locks, storage);
    const seenAt = Date.now();
    await vi.advanceTimersByTimeAsync(600_000);
    const next = new Browser(saved, { storage, locks });
    await expect(next.client.recover()).resolves.toEqual([{ sessionId, conversationId: "conv_1" }]);
    await settle();
    expect(ends(next)).toHaveLength(1);
    expect(ends(next)[0]!.body).toMatchObject({
      client_session_id: sessionId, ended_by: "disconnect", agent_id: "agent_1",
      ended_ago_ms: Date.now() - seenAt,
    });
    expect(storage.length).toBe(0);
  });

  it("is not mistaken for a tab that lives", async () => {
    const storage = new FakeStorage();
    const locks = new FakeLocks();
    const living = new Browser(saved, { storage, locks });
    living.client.startInterview();
    await settle();
    const next = new Browser(saved, { storage, locks });
    await expect(next.client.recover()).resolves.toEqual([]);
    expect(storage.named("debrief.live.")).toHaveLength(1);
  });

  it("is left to the user whose it was", async () => {
    const storage = new FakeStorage();
    await kill(new FakeLocks(), storage);
    const stranger = new Browser(saved, { storage, user: OTHER });
    await expect(stranger.client.recover()).resolves.toEqual([]);
    expect(storage.named("debrief.live.")).toHaveLength(1);
  });

  it("is known by its silence where there are no locks", async () => {
    const storage = new FakeStorage();
    await kill(null, storage);
    await expect(new Browser(saved, { storage, locks: null }).client.recover()).resolves.toEqual([]);
    await vi.advanceTimersByTimeAsync(200_000);
    await expect(new Browser(noNetwork, { storage, locks: null }).client.recover()).resolves.toHaveLength(1);
  });
});
