/** What there is to try, in one glance. */

import "./welcome.css";

const PROMPTS = ["How do tides work?", "Explain TCP's handshake, with a table", "How should a program wait for a server?"];

const TRIES = [
  { what: "Reload in mid-answer", why: "it goes on where it was" },
  { what: "Open a second tab", why: "both show the same, and either can stop it" },
  { what: "Cut the network", why: "what was missed comes, once" },
];

export function Welcome({ onAsk }: { onAsk: (text: string) => void }) {
  return (
    <div className="welcome">
      <h1>Recorded once, played to many.</h1>
      <p className="quiet">Ask something, then try to lose a token.</p>
      <ul className="prompts" aria-label="Examples">
        {PROMPTS.map((prompt) => (
          <li key={prompt}>
            <button type="button" onClick={() => onAsk(prompt)}>
              {prompt}
            </button>
          </li>
        ))}
      </ul>
      <ol className="tries">
        {TRIES.map(({ what, why }) => (
          <li key={what}>
            <strong>{what}:</strong> {why}.
          </li>
        ))}
      </ol>
    </div>
  );
}
