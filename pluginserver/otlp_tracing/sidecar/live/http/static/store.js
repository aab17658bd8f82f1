// Data from the event stream: recent traces, newest first, and the number of requests.

const MAX_ROWS = 2000; // as many as the sidecar keeps
const RATE_MS = 10000; // the window for requests per second

export class Store extends EventTarget {
  rows = [];
  requests = 0;
  kept = 0;
  passedOver = 0;
  version = '';
  traceUrl = '';
  #base = 0;
  #counts = [];

  take(name, data) {
    if (name === 'hello') {
      this.version = data.version;
      this.traceUrl = data.trace_url;
      if (!data.resumed) {
        // Another process: its numbers begin again; the traces of the former process stay in the list.
        this.#base = this.rows[0]?.number ?? 0;
        this.#counts = [];
      }
    } else if (name === 'traces') {
      for (const row of data.rows) row.number += this.#base;
      this.rows = data.rows.reverse().concat(this.rows).slice(0, MAX_ROWS);
      Object.assign(this, {requests: data.requests, kept: data.kept, passedOver: data.passed_over});
      const now = performance.now();
      this.#counts.push([now, data.requests, data.kept]);
      while (this.#counts.length > 2 && now - this.#counts[0][0] > RATE_MS) this.#counts.shift();
    }
    this.dispatchEvent(new Event(name));
  }

  // Requests and kept traces a second, over the last seconds.
  rates() {
    if (this.#counts.length < 2) return null;
    const [then, requests, kept] = this.#counts[0];
    const seconds = Math.max((performance.now() - then) / 1000, 0.5);
    return {requests: (this.requests - requests) / seconds, kept: (this.kept - kept) / seconds};
  }
}
