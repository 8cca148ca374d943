import type { ReactNode } from "react";

/** Of each its name, its value in words, and how that is shown, if not as it is. */
export type Facts = readonly (readonly [name: string, value: string, shown?: ReactNode])[];

/** What is most asked of a run or a stream, in one place at the top. */
export function Summary({ facts }: { facts: Facts }) {
  return (
    <dl className="summary card">
      {facts.map(([name, value, shown]) => (
        <div key={name}>
          <dt className="quiet small">{name}</dt>
          <dd className="number" title={value}>
            {shown ?? value}
          </dd>
        </div>
      ))}
    </dl>
  );
}
