import { useState, type FormEvent } from "react";
import { Page } from "../parts/Frame";
import { signIn, type SignIn } from "../signin";

export function SignInPage({ onSignIn }: { onSignIn: (signedIn: SignIn) => void }) {
  const [text, setText] = useState("");
  const [isWrong, setWrong] = useState(false);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const signedIn = signIn(text, null);
    if (signedIn === null) setWrong(true);
    else onSignIn(signedIn);
  };
  return (
    <Page title="Sign in" lead="Open the link that you were given, or paste the token that stands in it.">
      <form onSubmit={submit} className="stack">
        <div className="field">
          <label htmlFor="token">Token</label>
          <textarea
            id="token" rows={4} required autoComplete="off" spellCheck={false} className="mono" value={text}
            aria-describedby="token-hint" aria-invalid={isWrong} onChange={(event) => setText(event.target.value)}
          />
          <p id="token-hint" className="hint" role={isWrong ? "alert" : undefined}>
            {isWrong ? "That isn’t a token: it would be three parts with dots between them."
              : "It stays in this tab and is gone when you close it."}
          </p>
        </div>
        <div className="actions"><button type="submit" className="primary">Sign in</button></div>
      </form>
    </Page>
  );
}
