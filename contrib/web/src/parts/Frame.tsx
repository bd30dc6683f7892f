import { useEffect, useRef, type MouseEvent, type ReactNode } from "react";
import { go } from "../router";

/** The page around the page. Links within the application don't reload it. */
export function Frame({ children, onSignOut }: { children: ReactNode; onSignOut?: () => void }) {
  const follow = (event: MouseEvent) => {
    const link = (event.target as Element).closest("a");
    if (link === null || link.origin !== location.origin || link.hash !== "" || event.defaultPrevented) return;
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(link.pathname + link.search);
  };
  return (
    <div className="frame" onClick={follow}>
      <a className="skip" href="#main">Skip to the content</a>
      <header className="masthead">
        <a className="wordmark" href="/">Debrief</a>
        {onSignOut && <button type="button" className="quiet" onClick={onSignOut}>Sign out</button>}
      </header>
      <main id="main" tabIndex={-1}>{children}</main>
    </div>
  );
}

/**
 * A page with its heading, which takes the focus when the page is new, so that the keyboard
 * and a screen reader start there.
 */
export function Page({ title, lead, children }: { title: string; lead?: ReactNode; children?: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} – Debrief`;
  }, [title]);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <article className="page">
      <h1 ref={heading} tabIndex={-1}>{title}</h1>
      {lead && <p className="lead">{lead}</p>}
      {children}
    </article>
  );
}
