// Try it: evaluates other sampling rules on recent requests.

import {ask} from './api.js';
import {el, put} from './dom.js';
import {bytes, count, many, period, rate, routeName, share} from './format.js';

const DAY = 86400;
const EXAMPLE = `sampling:
  rate: 0.1
  rules:
    - name: health checks
      paths: ["/health*", "/metrics"]
      rate: 0
    - name: orders
      methods: [POST]
      paths: ["/api/orders*"]
      rate: 1
  keep:
    errors: true
    slower_than_ms: 500
`;
const DECIDERS = {
  parent: 'the caller',
  rate: 'the rate',
  error: 'kept: error',
  retry: 'kept: retry',
  slow: 'kept: slow',
  status: 'kept: status',
};

export class TrialView {
  #busy = false;

  constructor() {
    this.text = el('textarea', {id: 'rules', spellcheck: 'false', autocomplete: 'off', rows: 15, 'aria-describedby': 'rules-hint', onkeydown: (event) => event.key === 'Enter' && (event.ctrlKey || event.metaKey) && this.#try()});
    this.text.value = EXAMPLE;
    this.button = el('button.main', {type: 'button', onclick: () => this.#try()}, 'Try these rules');
    this.result = el('section.result', {'aria-label': 'Result', 'aria-live': 'polite'}, before());
    this.element = el(
      'section.page.trial',
      {'aria-labelledby': 'trial-title'},
      el('h1', {id: 'trial-title'}, 'Try it'),
      el('p.hint', 'Which recent requests would other sampling rules keep, and how much data is that? Trying changes nothing.'),
      el('div.two', el('div', el('label', {for: 'rules'}, 'Rules, as YAML or JSON'), this.text, el('p.hint', {id: 'rules-hint'}, 'The content of sampling: in a plugin entry. Ctrl-Enter tries the rules.'), this.button), this.result),
    );
  }

  enter() {}

  leave() {}

  async #try() {
    if (this.#busy) return;
    this.#busy = true;
    this.button.disabled = true;
    try {
      const answer = await ask('/trial', {rules: this.text.value});
      put(this.result, outcome(await answer.json()));
      this.text.removeAttribute('aria-invalid');
    } catch (error) {
      this.text.setAttribute('aria-invalid', 'true');
      put(this.result, el('div.faults', el('h2', 'These rules are not valid'), el('ul', (error.faults?.length ? error.faults : [error.message]).map((fault) => el('li', fault)))));
    }
    this.button.disabled = false;
    this.#busy = false;
  }
}

const before = () => el('div.empty', el('h2', 'Nothing tried yet'), el('p', 'The rules on the left are an example: no health checks, every order, a tenth of the rest, and all requests that fail or are slow.'));

function outcome(trial) {
  if (!trial.requests) return el('div.empty', el('h2', 'No recent request'), el('p', 'Rules can be tried as soon as requests pass through Kong.'));
  const seconds = Math.max(trial.seconds, 1);
  const daily = (spans) => bytes((spans / seconds) * DAY * trial.bytes_per_span);
  return [
    el('p.answer', el('b', {'data-figure': 'kept'}, count(trial.kept)), ` of ${many(trial.requests, 'request')} of the last ${period(seconds)} would be kept`),
    el(
      'table.compare',
      el('caption.unseen', 'Active and tried rules'),
      el('thead', el('tr', el('td'), el('th', {scope: 'col'}, 'Active'), el('th', {scope: 'col'}, 'Tried'))),
      el(
        'tbody',
        compare('Kept', meter(trial.kept_live, trial.requests), meter(trial.kept, trial.requests)),
        compare('Traces/s', rate(trial.kept_live / seconds), rate(trial.kept / seconds)),
        compare('Spans/s', rate(trial.spans_live / seconds), rate(trial.spans / seconds)),
        compare('Per day', daily(trial.spans_live), daily(trial.spans)),
        compare('Errors (5xx) kept', share(trial.errors - trial.errors_lost_live, trial.errors), el(`span${trial.errors_lost ? '.bad' : ''}`, share(trial.errors - trial.errors_lost, trial.errors))),
      ),
    ),
    trial.errors_lost > 0 && el('p.warning', `${many(trial.errors_lost, 'request')} that failed would have no trace; keep.errors: true keeps their traces.`),
    trial.callers_unknown > 0 && el('p.warning', `The caller’s decision was not recorded for ${many(trial.callers_unknown, 'request')}, because the active rules ignore it; rule and rate decided instead.`),
    trial.headers_unknown.length > 0 && el('p.warning', `Not recorded: header ${trial.headers_unknown.join(', ')}. Only headers that the active rules match are recorded, so a rule on another header matches nothing.`),
    trial.rules_unknown.length > 0 && el('p.warning', 'Passed over: ', el('bdi', trial.rules_unknown.join(', ')), '. Response headers and attributes are not recorded, so a tail rule on them matches nothing here.'),
    trial.sample < trial.requests && el('p.hint', `Estimated from a sample of ${count(trial.sample)} requests.`),
    trial.lowered > 0 && el('p.hint', `The budget lowered the rate for ${many(trial.lowered, 'request')}. Here it lowers all rates by one factor; the gateway spares rare rules and routes.`),
    trial.has_load && el('p.hint', 'The effect of sampling.load is not simulated.'),
    el('h2', 'Decided by'),
    table(['', 'Requests', 'Kept'], trial.deciders.map((one) => [one.name ? [one.kind === 'rule' ? 'rule ' : 'tail rule ', el('bdi', one.name)] : DECIDERS[one.kind] ?? one.kind, count(one.requests), count(one.kept)])),
    el('h2', 'By route'),
    table(['', 'Requests', 'Active', 'Tried'], trial.routes.slice(0, 50).map((one) => [el('bdi', routeName(one.service, one.route)), count(one.requests), share(one.kept_live, one.requests), share(one.kept, one.requests)])),
    el('p.hint', `Per day: extrapolated from ${period(seconds)} and ${count(trial.bytes_per_span)} bytes a span, before compression.`),
  ];
}

const compare = (name, live, tried) => el('tr', el('th', {scope: 'row'}, name), el('td', live), el('td', tried));

const meter = (part, whole) => el('span.meter', {vars: {'--part': part / whole}}, share(part, whole));

function table(heads, rows) {
  return el('table.plain', el('thead', el('tr', heads.map((text) => (text ? el('th', {scope: 'col'}, text) : el('td'))))), el('tbody', rows.map(([name, ...cells]) => el('tr', el('th', {scope: 'row'}, name), cells.map((one) => el('td', one))))));
}
