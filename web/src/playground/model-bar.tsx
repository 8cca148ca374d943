/** Which model answers, and how the simulated one is to behave. */

import { useId, useState, useSyncExternalStore } from "react";
import { FAULTS } from "./faults.ts";
import { chosen, isOpen, settings, type ModelInfo, type Settings } from "./settings.ts";
import "./menu.css";
import "./model-bar.css";

export function ModelBar({ models }: { models: readonly ModelInfo[] }) {
  const given = useSyncExternalStore(settings.subscribe, settings.get);
  const model = chosen(models, given);
  const change = (fields: Partial<Settings>): void => settings.set({ ...given, ...fields });
  return (
    <>
      <select aria-label="Model" value={model?.name ?? ""} disabled={models.length === 0} onChange={(event) => change({ model: event.target.value })}>
        {models.length === 0 && <option value="">…</option>}
        {models.map(({ name, provider }) => (
          <option key={name} value={name}>
            {name === provider ? name : `${name} · ${provider}`}
          </option>
        ))}
      </select>
      {model && isOpen(model.name) && (
        <input
          className="variant"
          aria-label="Name of the model"
          placeholder="name of the model"
          maxLength={200}
          spellCheck={false}
          value={given.variant}
          onChange={(event) => change({ variant: event.target.value })}
        />
      )}
      {model?.provider === "simulated" && <Simulation given={given} change={change} />}
    </>
  );
}

function Simulation({ given, change }: { given: Settings; change: (fields: Partial<Settings>) => void }) {
  const id = useId();
  const known = FAULTS.find(({ fault }) => fault === given.fault);
  return (
    <>
      <button type="button" className="quiet summary number" popoverTarget={id} title="How the simulated model answers">
        {given.rate === 0 ? "at once" : `${given.rate}/s`} · {given.tokens.toLocaleString()} tokens{" "}
        {given.fault && <span className="badge" data-state="waiting">{given.fault}</span>} ▾
      </button>
      <div id={id} popover="auto" className="card menu simulation" role="group" aria-label="The simulated model">
        <div className="three">
          <NumberField label="Tokens per second" hint="0: at once" value={given.rate} max={100_000} step="any" onChange={(rate) => change({ rate })} />
          <NumberField label="Tokens" value={given.tokens} min={1} max={100_000} step={1} onChange={(tokens) => change({ tokens })} />
          <NumberField label="Seed" hint="same seed, same answer" value={given.seed} max={1_000_000} step={1} onChange={(seed) => change({ seed })} />
        </div>
        <label>
          Fault
          <input
            list={`${id}-faults`}
            maxLength={120}
            placeholder="none"
            spellCheck={false}
            autoComplete="off"
            value={given.fault}
            onChange={(event) => change({ fault: event.target.value })}
          />
        </label>
        <p className="quiet small">{known ? known.shows : "Choose one, or write it: stall@40:5s+cut@80"}</p>
        <ul className="faults" aria-label="Faults">
          {FAULTS.map(({ fault, label, shows }) => (
            <li key={label}>
              <button type="button" aria-pressed={given.fault === fault} title={shows} onClick={() => change({ fault })}>
                {label}
              </button>
            </li>
          ))}
        </ul>
        <datalist id={`${id}-faults`}>
          {FAULTS.filter(({ fault }) => fault).map(({ fault, shows }) => (
            <option key={fault} value={fault}>
              {shows}
            </option>
          ))}
        </datalist>
      </div>
    </>
  );
}

interface NumberFieldProps {
  label: string;
  hint?: string;
  value: number;
  min?: number;
  max: number;
  step: 1 | "any";
  onChange: (value: number) => void;
}

function NumberField({ label, hint, value, min = 0, max, step, onChange }: NumberFieldProps) {
  // As it is typed: an empty field, or `0.`, is on its way to a number.
  const [draft, setDraft] = useState<string>();
  return (
    <label title={hint}>
      {label}
      <input
        type="number"
        inputMode={step === 1 ? "numeric" : "decimal"}
        min={min}
        max={max}
        step={step}
        value={draft ?? value}
        onChange={({ target }) => {
          setDraft(target.value);
          const typed = step === 1 ? Math.round(target.valueAsNumber) : target.valueAsNumber;
          if (Number.isFinite(typed)) onChange(Math.min(max, Math.max(min, typed)));
        }}
        onBlur={() => setDraft(undefined)}
      />
    </label>
  );
}
