// Requests to the sidecar. The token is kept for this tab only and sent with each request. It is not a cookie, because
// cookies ignore the port and would be sent to every service on this address.

const KEY = 'token';
const LOST_MS = 15000; // three of the sidecar's heartbeats
const HIDDEN_MS = 30000; // then a hidden page disconnects

export class Failure extends Error {
  constructor(status, body) {
    super(body?.error || body?.faults?.join('\n') || sentence(status));
    this.status = status;
    this.faults = body?.faults ?? [];
  }
}

function sentence(status) {
  if (status === 401) return 'The sidecar requires a token.';
  if (status === 421) return 'The sidecar does not allow this host name; add it with --page-hosts.';
  return status ? `The sidecar answered ${status}.` : 'The sidecar does not answer.';
}

export const setToken = (token) => sessionStorage.setItem(KEY, token);

export async function ask(path, body, signal) {
  const headers = {};
  const token = sessionStorage.getItem(KEY);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const options = {headers, signal, cache: 'no-store', credentials: 'omit', redirect: 'error'};
  if (body !== undefined) Object.assign(options, {method: 'POST', body: JSON.stringify(body)});
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Failure(0);
  }
  if (answer.ok) return answer;
  const text = await answer.text().catch(() => '');
  const parsed = text.startsWith('{') ? JSON.parse(text) : {error: text.trim()};
  const failure = new Failure(answer.status, answer.status === 401 ? null : parsed);
  if (answer.status === 401) dispatchEvent(new CustomEvent('token-needed', {detail: Boolean(token)}));
  throw failure;
}

export const read = async (path, signal) => (await ask(path, undefined, signal)).json();

// Follow the event stream and reconnect forever: onEvent(name, data) for each event, onState('live' | 'lost' | 'refused', failure).
export function follow(onEvent, onState) {
  let after = '';
  let control = null;
  let wake = () => {};
  let wait = 500;
  let hidden = 0;

  async function once() {
    const own = (control = new AbortController());
    let timer = 0;
    const patient = () => {
      clearTimeout(timer);
      timer = setTimeout(() => own.abort(), LOST_MS);
    };
    try {
      patient();
      const answer = await ask(`/events?after=${encodeURIComponent(after)}`, undefined, own.signal);
      onState('live');
      wait = 500;
      for await (const event of events(answer.body)) {
        patient();
        if (event.id) after = event.id;
        onEvent(event.event, JSON.parse(event.data));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async function forever() {
    for (;;) {
      if (hidden && document.hidden) await new Promise((resolve) => (wake = resolve));
      let failure = null;
      try {
        await once();
      } catch (error) {
        failure = error;
      }
      if (document.hidden && hidden) continue;
      onState(failure?.status ? 'refused' : 'lost', failure, wait);
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, wait * (0.75 + Math.random() / 2));
      });
      wait = Math.min(wait * 2, 10000);
    }
  }

  document.addEventListener('visibilitychange', () => {
    clearTimeout(hidden);
    hidden = 0;
    if (document.hidden) {
      hidden = setTimeout(() => control?.abort(), HIDDEN_MS);
    } else wake();
  });
  forever();
  return () => {
    wait = 500;
    wake();
  };
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    text += value;
    const pieces = text.split('\n\n');
    text = pieces.pop();
    for (const piece of pieces) {
      const fields = piece.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]);
      yield Object.fromEntries(fields);
    }
  }
}
