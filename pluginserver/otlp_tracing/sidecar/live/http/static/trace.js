// One trace: its facts, its waterfall, and texts to copy.

import {el, put} from './dom.js';
import {clockMs, duration, many, routeName, statusClass} from './format.js';
import {logRecords} from './log-records.js';
import {Waterfall, kongTimes} from './waterfall.js';

export class TraceDetail {
  #store;
  #close;
  #shown = '';
  #said;

  constructor(store, close) {
    this.#store = store;
    this.#close = close;
    this.#said = el('span.said', {role: 'status'});
    this.element = el('section.pane.detail', {'aria-label': 'The open trace'});
    this.hide();
  }

  hide() {
    this.#shown = '';
    put(this.element);
  }

  async show(traceId, fetch) {
    if (this.#shown === traceId) return;
    this.#shown = traceId;
    try {
      const trace = await fetch();
      if (this.#shown === traceId) this.#draw(trace);
    } catch (error) {
      if (this.#shown !== traceId) return;
      this.#shown = '';
      put(this.element, this.#closer(), el('div.empty', el('h2', 'This trace cannot be shown'), el('p', error.message), this.#elsewhere(traceId)));
    }
  }

  #draw(trace) {
    const [first] = trace.requests;
    const more = trace.requests.length - 1;
    const waterfall = new Waterfall(trace);
    put(
      this.element,
      this.#closer(),
      el('h2.title', el(`span.code.${statusClass(first.status)}`, first.status || '–'), ' ', first.method, ' ', el('bdi', first.target)),
      el(
        'dl.facts',
        fact('Took', duration(first.duration_ms)),
        fact('At', clockMs(first.start_ms)),
        fact('Route', el('bdi', routeName(first.service, first.route)), first.route && first.service ? [' of ', el('bdi', first.service)] : null),
        fact('Kept', why(first)),
        more > 0 && fact('With', `${many(more, 'other request')} of the same trace`),
        fact('Trace', el('code', trace.trace_id)),
      ),
      el(
        'div.actions',
        this.#copier('Copy as curl', first.curl, first.method !== 'GET' && first.method !== 'HEAD' ? 'The body was not recorded.' : ''),
        this.#copier('Copy traceparent', first.traceparent, ''),
        this.#copier('Copy trace id', trace.trace_id, ''),
        this.#elsewhere(trace.trace_id),
        this.#said,
      ),
      logRecords(trace.log_records, (spanId) => waterfall.show(spanId)),
      waterfall.element,
      kongTimes(trace.spans),
    );
    this.element.scrollTop = 0;
  }

  #closer() {
    return el('button.quiet.close', {type: 'button', 'aria-label': 'Close the trace', onclick: () => this.#close()}, '✕');
  }

  #copier(label, text, note) {
    const copy = async () => {
      const said = await toClipboard(text) ? `Copied. ${note}` : 'The browser does not allow copying here.';
      put(this.#said, said);
      setTimeout(() => put(this.#said), 4000);
    };
    return el('button', {type: 'button', onclick: copy, 'data-copies': text, title: text}, label);
  }

  #elsewhere(traceId) {
    const template = this.#store.traceUrl;
    if (!template) return null;
    return el('a.button', {href: template.replaceAll('{trace_id}', traceId), target: '_blank', rel: 'noopener noreferrer'}, 'Open in your backend ↗');
  }
}

const fact = (name, ...value) => el('div', el('dt', name), el('dd', value));

const REASONS = {
  parent: 'by the caller’s decision',
  rate: 'by the rate',
  policy: 'by a policy',
  budget: 'by the rate, lowered for the budget',
  load: 'by the rate, lowered for the load',
  error: 'after the response: error',
  retry: 'after the response: retry',
  slow: 'after the response: slow',
  status: 'after the response: status',
  tail_rule: 'after the response: a tail rule',
  rare: 'after the response: first trace of its route in a minute',
};

function why(request) {
  if (request.rule && request.why === 'tail_rule') return ['after the response: the tail rule ', el('bdi', request.rule)];
  if (request.rule && request.why === 'policy') return ['by the policy ', el('bdi', request.rule)];
  if (request.rule) return ['by the rule ', el('bdi', request.rule)];
  return REASONS[request.why] ?? (request.why || 'by the head decision');
}

async function toClipboard(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Not focused, or not allowed: try the older interface.
    }
  }
  // Over plain http from another machine there is no clipboard object.
  const area = el('textarea', {value: text, readonly: true});
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  return done;
}
