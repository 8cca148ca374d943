// The page: the form, the address, the keyboard. What happens to a run is in run-view.js.

import { getRun, listModels, randomKey, startRun } from "./api.js";
import { keepTrying } from "./retry.js";
import { RunView } from "./run-view.js";

const MAX_KEPT_PROMPT = 2000; // characters; a run's metadata holds 16 KiB

const form = document.querySelector("#ask");
const notice = document.querySelector("#notice");
const runElement = document.querySelector("#run");
const simulated = document.querySelector("#simulated");

let models = [];
let view = null;
let pending = new AbortController();

function announce(text, kind = "info") {
  notice.textContent = text;
  notice.dataset.kind = kind;
}

// Another thing that the user asks for gives up the one before.
function nextSignal() {
  pending.abort();
  pending = new AbortController();
  return pending.signal;
}

async function patiently(action, signal) {
  const onWait = (error, pause) => announce(`${error.message} Trying again in ${Math.ceil(pause / 1000)} s…`, "warn");
  const result = await keepTrying(() => action(signal), { signal, onWait });
  if (notice.dataset.kind === "warn") announce("");
  return result;
}

function setBusy(busy) {
  form.dataset.busy = String(busy);
  update();
}

function update() {
  const live = view?.live ?? false;
  const busy = form.dataset.busy === "true";
  form.elements.send.disabled = busy || live || models.length === 0;
  form.elements.send.title = live ? "Stop the answer first" : "";
}

// Asking

async function loadModels() {
  try {
    models = await patiently(listModels, new AbortController().signal);
  } catch (error) {
    announce(error.message, "bad");
    return;
  }
  form.elements.model.replaceChildren(
    ...models.map(({ name, provider, default: chosen }) => {
      const label = name === provider ? name : `${name} · ${provider}`;
      return new Option(label, name, chosen, chosen);
    }),
  );
  showModel();
  update();
}

// `groq:*` stands for every model of that provider: which one is asked for in a field of its own.
const isOpen = (name) => name.endsWith(":*");

function showModel() {
  const { model, modelName, settings } = form.elements;
  const chosen = models.find(({ name }) => name === model.value);
  // Disabled, because what cannot be seen must not be validated either.
  simulated.hidden = settings.disabled = chosen?.provider !== "simulated";
  modelName.hidden = modelName.disabled = !isOpen(model.value);
}

function readForm() {
  const { prompt, model, modelName, rate, tokens, fault } = form.elements;
  const content = prompt.value.trim();
  const body = {
    model: isOpen(model.value) ? model.value.slice(0, -1) + modelName.value.trim() : model.value,
    messages: [{ role: "user", content }],
    // Kept with the run, so that whoever opens its address also sees the question.
    metadata: { prompt: content.slice(0, MAX_KEPT_PROMPT) },
  };
  if (!simulated.hidden) {
    body.simulated = { rate: rate.valueAsNumber || 0, tokens: tokens.valueAsNumber || 1 };
    if (fault.value) body.simulated.fault = fault.value;
  }
  return body;
}

async function send() {
  if (form.elements.send.disabled || !form.reportValidity()) return;
  const body = readForm();
  const key = randomKey(); // one for all attempts: an answer that got lost starts no second run
  setBusy(true);
  announce("Starting…");
  try {
    const run = await patiently((signal) => startRun(body, { key, signal }), nextSignal());
    history.pushState(null, "", `#${run.id}`);
    show(run.id, body.metadata.prompt);
  } catch (error) {
    if (error.name === "AbortError") announce("Given up.");
    else announce(error.message, "bad");
  } finally {
    setBusy(false);
  }
}

// Watching. The run's id is the page's address: a reload, another tab, or whoever gets the link watches the same run.

function show(id, prompt) {
  view?.close();
  document.body.dataset.view = "run";
  announce("");
  view = new RunView({
    id,
    prompt,
    element: runElement,
    template: document.querySelector("#pane"),
    announce,
    onChange: update,
  });
}

async function attach() {
  const id = location.hash.slice(1);
  if (id === "") {
    leave();
    return;
  }
  try {
    const run = await patiently((signal) => getRun(id, signal), nextSignal());
    show(run.id, run.metadata?.prompt ?? "");
  } catch (error) {
    if (error.name === "AbortError") return;
    leave();
    announce(error.message, "bad");
  }
}

function leave() {
  view?.close();
  view = null;
  runElement.hidden = true;
  document.body.dataset.view = "start";
  update();
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    announce("The link is copied: whoever opens it watches the same answer.");
  } catch {
    announce(location.href); // no clipboard on an insecure origin
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
simulated.addEventListener("invalid", () => (simulated.open = true), true); // the browser points at the field
form.elements.model.addEventListener("change", showModel);
document.querySelector("[data-run=stop]").addEventListener("click", () => view.stop());
document.querySelector("[data-run=join]").addEventListener("click", () => view.join());
document.querySelector("[data-run=link]").addEventListener("click", copyLink);
addEventListener("hashchange", attach); // back, forward, or a pasted address
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    send();
  } else if (event.key === "Escape" && !event.isComposing) {
    if (form.dataset.busy === "true") pending.abort();
    view?.stop();
  }
});

attach();
loadModels();
