/** One event, in every way: decoded, as it is recorded, and as each format puts it on the wire. */

import { useEffect, useRef, useState } from "react";
import { CopyButton } from "../../app/copy-button.tsx";
import { admin } from "../api.ts";
import { bytes, count, moment } from "../format.ts";
import { usePoll } from "../poll.ts";

const KEPT_FORMAT = "tokentape.console.format";

interface InspectorProps {
  stream: string;
  cursor: string;
  /** To the event before or after it, where there is one. */
  onMove: (by: 1 | -1) => void;
  onClose: () => void;
}

export function Inspector({ stream, cursor, onMove, onClose }: InspectorProps) {
  const { data, error } = usePoll(`${stream} ${cursor}`, (signal) => admin.event(stream, cursor, signal), 0);
  const panel = useRef<HTMLElement>(null);
  const [format, setFormat] = useState(() => sessionStorage.getItem(KEPT_FORMAT) ?? "native");

  useEffect(() => {
    const before = document.activeElement;
    panel.current?.focus();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);

  const formats = data ? Object.keys(data.frames) : [];
  const chosen = formats.includes(format) ? format : (formats[0] ?? "");
  const frame = data?.frames[chosen];
  return (
    <aside
      ref={panel}
      className="inspector card"
      role="dialog"
      aria-label="Event"
      tabIndex={-1}
      onKeyDown={(event) => {
        const by = { ArrowDown: 1, ArrowUp: -1 }[event.key] as 1 | -1 | undefined;
        if (event.key === "Escape") onClose();
        else if (by && event.target === event.currentTarget) onMove(by);
        event.stopPropagation();
      }}
    >
      <header>
        <h2>Event</h2>
        <code className="number">{cursor}</code>
        <span className="grow" />
        <button type="button" className="quiet icon" aria-label="Event before" title="Event before" onClick={() => onMove(-1)}>
          ↑
        </button>
        <button type="button" className="quiet icon" aria-label="Event after" title="Event after" onClick={() => onMove(1)}>
          ↓
        </button>
        <button type="button" className="quiet icon" aria-label="Close" title="Close (Escape)" onClick={onClose}>
          ×
        </button>
      </header>
      {error && data?.cursor !== cursor ? (
        <p className="notice" data-hue="bad" role="alert">
          {error.message}
        </p>
      ) : !data ? (
        <p className="quiet">Loading…</p>
      ) : (
        <div className="parts" data-cursor={data.cursor}>
          <p className="quiet small number">
            {data.at !== null && `${moment(data.at * 1000)} · `}
            {bytes(data.bytes)} in the record
          </p>
          {data.event != null && (
            <>
              <h3>Decoded</h3>
              <pre tabIndex={0} data-part="decoded">
                {JSON.stringify(data.event, null, 2)}
              </pre>
            </>
          )}
          <h3>
            Record
            <CopyButton text={data.record} label="Copy the record" className="quiet copy" />
          </h3>
          <pre tabIndex={0} className="wrap" data-part="record">
            {data.record}
          </pre>
          {formats.length > 0 && (
            <>
              <h3>
                <label htmlFor="format">On the wire as</label>
                <select
                  id="format"
                  value={chosen}
                  onChange={({ currentTarget: { value } }) => {
                    setFormat(value);
                    sessionStorage.setItem(KEPT_FORMAT, value);
                  }}
                >
                  {formats.map((name) => (
                    <option key={name} value={name}>
                      {data.frames[name] === null ? `${name} (nothing)` : name}
                    </option>
                  ))}
                </select>
                {frame != null && (
                  <>
                    <span className="quiet small number">{count(new TextEncoder().encode(frame).length)} bytes</span>
                    <CopyButton text={frame} label="Copy what is on the wire" className="quiet copy" />
                  </>
                )}
              </h3>
              {frame == null ? (
                <p className="quiet small">This format has nothing to say here.</p>
              ) : (
                <pre tabIndex={0} className="wrap" data-part="frame">
                  {frame}
                </pre>
              )}
            </>
          )}
        </div>
      )}
    </aside>
  );
}
