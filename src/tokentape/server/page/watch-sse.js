// Watches a run over Server-Sent Events, with the browser's own EventSource.
//
//   const close = watchSse("r_8c1…", "start", handlers);
//
// `from` is "start", "snapshot", or the cursor of the last event that you have. EventSource reconnects by
// itself and then sends that cursor as `Last-Event-ID`, so a network failure needs no code here at all.
//
// Handlers, for both transports:
//   opened()              connected
//   ready(data)           how the view begins: { outcome, cursor, reason? }; after the outcomes `snapshot` and
//                         `gone`, what follows replaces everything that you have
//   event(event, cursor)  one event; several merged into one bear the cursor of the last
//   ended()               the run has ended and you have all of it
//   lost(why)             the connection is gone, another will come
//   failed(why)           it is gone for good

import { API, getRun } from "./api.js";
import { backoff } from "./retry.js";

export function watchSse(run, from, handlers) {
  let source;
  let timer;
  let cursor = from;
  let attempt = 0;
  let done = false;

  function connect() {
    const url = new URL(`runs/${encodeURIComponent(run)}/events`, API);
    url.searchParams.set("from", cursor);
    source = new EventSource(url);
    source.onopen = handlers.opened;
    source.onmessage = receive;
    source.onerror = lose;
  }

  function receive(message) {
    attempt = 0;
    if (message.data === "[DONE]") {
      finish();
      return;
    }
    const event = JSON.parse(message.data);
    if (event.type === "ready") {
      cursor = event.data.cursor;
      handlers.ready(event.data);
      return;
    }
    // Every event of a run has an id. On a channel some have none, and then lastEventId still is the one before.
    cursor = message.lastEventId;
    done = event.type === "done";
    handlers.event(event, cursor);
  }

  function lose() {
    if (source.readyState === EventSource.CONNECTING) {
      handlers.lost("connection lost");
    } else if (done) {
      // `done` came, the connection broke before [DONE], and the server answered 204: there is no more.
      finish();
    } else {
      // CLOSED: the server answered with something else than a stream, and EventSource does not tell with
      // what. Asking about the run tells whether trying again can help.
      handlers.lost("stream refused");
      getRun(run).then(again, (error) => (error.retryable ? again() : fail(error.message)));
    }
  }

  function again() {
    if (source === null) return; // closed while we asked
    timer = setTimeout(connect, backoff(attempt));
    attempt += 1;
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function finish() {
    // Without this EventSource takes the end of the response for a failure, and reconnects.
    close();
    handlers.ended();
  }

  function fail(why) {
    if (source === null) return;
    close();
    handlers.failed(why);
  }

  connect();
  return close;
}
