import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Browser, FakeStorage, noNetwork, OTHER, problem, saved, SID, token, USER, json } from "./support.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const end = { sessionId: SID, endedBy: "user" as const };

/** A client that has a token in hand, as every page with an interview has. */
async function ready(browser: Browser): Promise<Browser> {
  await browser.client.recover();
  await vi.advanceTimersByTimeAsync(0);
  return browser;
}

describe("saving", () => {
  it("calls fetch before it returns, with keepalive and what is known", async () => {
    const browser = await ready(new Browser(saved));
    const outcome = browser.client.saveInterview({ ...end, conversationId: "conv_1", agentId: "agent_1" });
    expect(browser.requests).toHaveLength(1);
    const [request] = browser.requests;
    expect(request!.init.keepalive).toBe(true);
    expect(request!.headers["Authorization"]).toBe(`Bearer ${browser.token()}`);
    expect(request!.body).toEqual({
      client_session_id: SID, ended_by: "user", conversation_id: "conv_1", agent_id: "agent_1",
    });
    await expect(outcome).resolves.toBe("saved");
  });

  it("is sent without a conversation id too", async () => {
    const browser = await ready(new Browser(saved));
    await browser.client.saveInterview(end);
    expect(browser.requests[0]!.body).toEqual({ client_session_id: SID, ended_by: "user" });
  });

  it("is in storage before it is sent, and gone after the 200", async () => {
    const storage = new FakeStorage();
    let kept: string[] = [];
    const browser = await ready(new Browser(() => {
      kept = storage.named("debrief.save.");
      return saved();
    }, { storage }));
    await browser.client.saveInterview(end);
    expect(kept).toEqual([`debrief.save.${SID}`]);
    expect(storage.named("debrief.save.")).toEqual([]);
  });

  it("works before anybody has asked for a token", async () => {
    const browser = new Browser(saved);
    await expect(browser.client.saveInterview(end)).resolves.toBe("saved");
  });

  it("works where storage is full", async () => {
    const browser = await ready(new Browser(noNetwork));
    browser.storage.full = true;
    await expect(browser.client.saveInterview(end)).resolves.toBe("queued");
    browser.answer = saved;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(browser.requests).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(browser.requests).toHaveLength(2);
  });
});

describe("the queue", () => {
  it("tries again, says how long ago it was, and slows down", async () => {
    const browser = await ready(new Browser(noNetwork));
    const began = Date.now();
    await expect(browser.client.saveInterview(end)).resolves.toBe("queued");
    await vi.advanceTimersByTimeAsync(300_000);
    const tries = browser.requests.length;
    expect(tries).toBeGreaterThan(5);
    expect(tries).toBeLessThan(12);
    browser.answer = saved;
    await vi.advanceTimersByTimeAsync(90_000);
    const last = browser.requests.at(-1)!;
    expect(last.body).toMatchObject({ ended_by: "user", ended_ago_ms: last.at - began });
    expect(browser.requests).toHaveLength(tries + 1);
    expect(browser.storage.named("debrief.save.")).toEqual([]);
  });

  it("is sent at once when the network comes back", async () => {
    const browser = await ready(new Browser(noNetwork));
    await browser.client.saveInterview(end);
    browser.answer = saved;
    browser.emit("online");
    await vi.advanceTimersByTimeAsync(0);
    expect(browser.requests).toHaveLength(2);
    expect(browser.storage.named("debrief.save.")).toEqual([]);
  });

  it("is sent by the next page", async () => {
    const first = await ready(new Browser(noNetwork));
    await first.client.saveInterview(end);
    const second = await ready(new Browser(saved, { storage: first.storage }));
    expect(second.requests.map((request) => request.body?.["client_session_id"])).toEqual([SID]);
  });

  it("is sent only under the user whose it is", async () => {
    const first = await ready(new Browser(noNetwork));
    await first.client.saveInterview(end);
    const stranger = await ready(new Browser(saved, { storage: first.storage, user: OTHER }));
    expect(stranger.requests).toEqual([]);
    expect(first.storage.named("debrief.save.")).toHaveLength(1);
    const again = await ready(new Browser(saved, { storage: first.storage, user: USER }));
    expect(again.requests).toHaveLength(1);
  });

  it("obeys Retry-After", async () => {
    const browser = await ready(new Browser(() => problem(503, { "Retry-After": "30" })));
    await expect(browser.client.saveInterview(end)).resolves.toBe("queued");
    await vi.advanceTimersByTimeAsync(29_900);
    expect(browser.requests).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(browser.requests).toHaveLength(2);
  });

  it.each([400, 409, 413])("does not loop on %i", async (status) => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const browser = await ready(new Browser(() => problem(status)));
    await expect(browser.client.saveInterview(end)).resolves.toBe("refused");
    await vi.advanceTimersByTimeAsync(600_000);
    browser.emit("online");
    await vi.advanceTimersByTimeAsync(0);
    expect(browser.requests).toHaveLength(1);
    expect(browser.storage.named("debrief.save.")).toEqual([]);
    expect(warn).toHaveBeenCalledOnce();
    warn.mockRestore();
  });

  it("asks for another token after a 401 and sends once more", async () => {
    const fresh = token(USER, { salt: "ZnJlc2g" });
    const browser = await ready(new Browser((request) =>
      request.headers["Authorization"] === `Bearer ${fresh}` ? saved() : problem(401)));
    browser.token = () => fresh;
    await expect(browser.client.saveInterview(end)).resolves.toBe("saved");
    expect(browser.getToken).toHaveBeenLastCalledWith({ refresh: true });
    expect(browser.requests).toHaveLength(2);
  });

  it("does not loop on 401, and keeps the entry for a better token", async () => {
    const browser = await ready(new Browser(() => problem(401)));
    await expect(browser.client.saveInterview(end)).resolves.toBe("queued");
    browser.emit("online");
    await vi.advanceTimersByTimeAsync(600_000);
    expect(browser.requests).toHaveLength(1);
    expect(browser.storage.named("debrief.save.")).toHaveLength(1);
  });

  it("holds fifty entries, the newest, for seven days", async () => {
    const browser = await ready(new Browser(noNetwork));
    for (let i = 0; i < 55; i++) {
      void browser.client.saveInterview({ sessionId: `s-${i}`, endedBy: "user" });
      await vi.advanceTimersByTimeAsync(1);
    }
    const kept = browser.storage.named("debrief.save.");
    expect(kept).toHaveLength(50);
    expect(kept).not.toContain("debrief.save.s-4");
    expect(kept).toContain("debrief.save.s-54");

    vi.setSystemTime(Date.now() + 7 * 24 * 3600 * 1000 + 1000);
    const later = await ready(new Browser(saved, { storage: browser.storage }));
    expect(later.requests).toEqual([]);
    expect(browser.storage.named("debrief.save.")).toEqual([]);
  });

  it("keeps the first end and fills in what it lacked", async () => {
    const browser = await ready(new Browser(noNetwork));
    await browser.client.saveInterview(end);
    await vi.advanceTimersByTimeAsync(100);
    await browser.client.saveInterview({ sessionId: SID, endedBy: "disconnect", conversationId: "conv_1" });
    browser.answer = saved;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(browser.requests.at(-1)!.body).toMatchObject({ ended_by: "user", conversation_id: "conv_1" });
    expect(browser.storage.named("debrief.save.")).toEqual([]);
  });

  it("ignores what it can't read", async () => {
    const storage = new FakeStorage();
    storage.setItem("debrief.save.x", "{");
    storage.setItem("debrief.save.y", "null");
    const browser = await ready(new Browser(() => json({}), { storage }));
    expect(browser.requests).toEqual([]);
    expect(storage.length).toBe(0);
  });
});
