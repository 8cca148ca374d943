/** An event decoded, as it is recorded, and as each format puts it on the wire. */

import { memo, useState } from "react";
import { CopyButton } from "../../app/copy-button.tsx";
import { IN_TAB, keep, readKept } from "../../app/kept.ts";
import type { Inspected } from "../api.ts";
import { bytes, count, moment } from "../format.ts";

const KEPT_FORMAT = "tokentape.console.format";

// Once for each event: the list beside it may grow with every frame.
export const InEveryWay = memo(function InEveryWay({ event }: { event: Inspected }) {
  const { cursor, at, bytes: size, record, frames } = event;
  return (
    <div className="parts" data-cursor={cursor}>
      <p className="quiet small number">
        {at !== null && `${moment(at * 1000)} · `}
        {bytes(size)} in the record
      </p>
      {event.event != null && (
        <>
          <h3>Decoded</h3>
          <pre tabIndex={0} data-part="decoded">
            {JSON.stringify(event.event, null, 2)}
          </pre>
        </>
      )}
      <h3>
        Record
        <CopyButton text={record} label="Copy the record" className="quiet copy" />
      </h3>
      <pre tabIndex={0} className="wrap" data-part="record">
        {record}
      </pre>
      {Object.keys(frames).length > 0 && <OnTheWire frames={frames} />}
    </div>
  );
});

function OnTheWire({ frames }: { frames: Inspected["frames"] }) {
  const [format, setFormat] = useState(() => readKept(IN_TAB, KEPT_FORMAT) ?? "native");
  const formats = Object.keys(frames);
  const chosen = formats.includes(format) ? format : (formats[0] ?? "");
  const frame = frames[chosen];
  return (
    <>
      <h3>
        <label htmlFor="format">On the wire as</label>
        <select
          id="format"
          value={chosen}
          onChange={({ currentTarget: { value } }) => {
            setFormat(value);
            keep(IN_TAB, KEPT_FORMAT, value);
          }}
        >
          {formats.map((name) => (
            <option key={name} value={name}>
              {frames[name] === null ? `${name} (nothing)` : name}
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
  );
}
