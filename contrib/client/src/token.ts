/**
 * The bearer token, held ready: a page that is being closed has no time to ask for one.
 */
export type GetToken = (options: { refresh: boolean }) => string | Promise<string>;

export interface Token {
  text: string;
  /** whose it is; null if the token can't be read */
  sub: string | null;
  /** ms since 1970; null if it doesn't say */
  expiresAt: number | null;
}

/** Asked for anew when it has less than this to live. */
export const REFRESH_BEFORE_MS = 60_000;

export class TokenKeeper {
  private held: Token | null = null;
  private asking: Promise<Token> | null = null;

  constructor(
    private readonly getToken: GetToken,
    private readonly now: () => number,
  ) {}

  /** The token in hand, if it is still good; never waits. */
  current(): Token | null {
    const held = this.held;
    if (held === null || (held.expiresAt !== null && held.expiresAt <= this.now())) return null;
    return held;
  }

  /** Whose token this page has, or had until it expired; null before the first one. */
  owner(): string | null {
    return this.held?.sub ?? null;
  }

  /** A token with some time to live; asks the page for another one when needed. */
  async ready(): Promise<Token> {
    const held = this.current();
    if (held !== null && (held.expiresAt === null || held.expiresAt > this.now() + REFRESH_BEFORE_MS)) return held;
    return this.renew(false);
  }

  /** Another token, since the server has refused this one. */
  async replace(refused: Token): Promise<Token> {
    const held = this.held;
    return held !== null && held.text !== refused.text ? held : this.renew(true);
  }

  private renew(refresh: boolean): Promise<Token> {
    this.asking ??= this.ask(refresh).finally(() => {
      this.asking = null;
    });
    return this.asking;
  }

  private async ask(refresh: boolean): Promise<Token> {
    this.held = readToken(await this.getToken({ refresh }));
    return this.held;
  }
}

/** Reads a JWT's claims. It proves nothing: only the server can check them. */
export function readToken(text: string): Token {
  try {
    const part = text.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(part), (char) => char.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown; exp?: unknown };
    return {
      text,
      sub: typeof claims.sub === "string" ? claims.sub : null,
      expiresAt: typeof claims.exp === "number" ? claims.exp * 1000 : null,
    };
  } catch {
    return { text, sub: null, expiresAt: null };
  }
}
