// Figures of all routes over the last minutes: rate, errors, durations, sampling.

import {read} from './api.js';
import {el, put, svg} from './dom.js';
import {count, duration, period, rate, routeName, share, whyKept} from './format.js';
import {PolledView} from './polled.js';

const COLUMNS = [
  ['route', 'Route', (one) => routeName(one.service, one.route)],
  ['rate', 'Requests/s', (one) => one.requests],
  ['errors', 'Errors', (one) => one.server_errors / one.requests],
  ['p50', 'p50', (one) => one.percentiles_ms[0]],
  ['p95', 'p95', (one) => one.percentiles_ms[1]],
  ['p99', 'p99', (one) => one.percentiles_ms[2]],
  ['kept', 'Kept', (one) => one.kept / one.requests],
];

export class RoutesView extends PolledView {
  #sort = 'rate';
  #down = true;
  #data = null;
  #rows = el('tbody');
  #heads = COLUMNS.map(([key, text]) => el('th', {scope: 'col', 'data-key': key}, el('button', {type: 'button', onclick: () => this.#by(key)}, text)));

  constructor() {
    super('/routes', 'routes', 'Routes', 'All requests of the last minutes, kept or not.');
    this.empty = el('div.empty', {hidden: true}, el('h2', 'No request in the last minutes'), el('p', 'A route appears here with its first request. All requests are counted, kept or not.'));
    this.table = el('table.routes.cards', el('thead', el('tr', this.#heads, el('th', {scope: 'col'}, 'Sampling now'), el('th', {scope: 'col'}, 'Traces'))), this.#rows);
    this.scroll = el('div.scroll', {tabindex: 0, role: 'region', 'aria-label': 'Figures by route'}, this.table);
    put(this.body, this.scroll, this.empty);
  }

  async ask() {
    const [figures, sampling] = await Promise.all([super.ask(), read('/sampling')]);
    const reported = new Map(sampling.routes.map((one) => [JSON.stringify([one.service, one.route]), one]));
    const entries = new Map(sampling.entries.map((one) => [one.entry, one]));
    for (const one of figures.routes) {
      one.sampling = reported.get(JSON.stringify([one.service, one.route]));
      one.entry = entries.get(one.sampling?.entry);
    }
    return figures;
  }

  draw(data) {
    this.#data = data;
    const {routes, window_seconds: seconds} = data;
    put(this.note, `All requests of the last ${period(seconds)}, kept or not. Percentiles are exact to 3 %.`);
    this.scroll.hidden = !routes.length;
    this.empty.hidden = routes.length > 0;
    for (const head of this.#heads) {
      if (head.dataset.key === this.#sort) head.setAttribute('aria-sort', this.#down ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    }
    const value = COLUMNS.find(([key]) => key === this.#sort)[2];
    const sorted = [...routes].sort((a, b) => (value(a) > value(b) ? 1 : value(a) < value(b) ? -1 : 0) * (this.#down ? -1 : 1));
    put(this.#rows, sorted.map((one) => row(one, seconds)));
  }

  #by(key) {
    this.#down = this.#sort === key ? !this.#down : key !== 'route';
    this.#sort = key;
    if (this.#data) this.draw(this.#data);
  }
}

function row(one, seconds) {
  const [p50, p95, p99] = one.percentiles_ms;
  return el(
    'tr',
    el('th', {scope: 'row'}, el('button.link', {type: 'button', title: 'Show its traces', onclick: () => dispatchEvent(new CustomEvent('route-wanted', {detail: one}))}, el('bdi', routeName(one.service, one.route))), one.route && one.service && el('small', el('bdi', one.service))),
    cell('Requests/s', el('span.number', rate(one.requests / seconds)), spark(one.history)),
    cell('Errors', el(`span.number${one.server_errors ? '.bad' : ''}`, share(one.server_errors, one.requests)), one.client_errors ? el('small', `4xx ${share(one.client_errors, one.requests)}`) : null),
    cell('p50', duration(p50)),
    cell('p95', duration(p95)),
    cell('p99', duration(p99)),
    cell('Kept', el('span.number', share(one.kept, one.requests)), el('small', `${count(one.kept)} of ${count(one.requests)}`)),
    cell('Sampling now', sampling(one)),
    cell('Traces', one.exemplars.map((trace) => el('a.chip', {href: `#traces/${trace.trace_id}`, title: `${trace.status}, ${duration(trace.duration_ms)}`}, trace.what)), ofMetrics(one.metric_exemplars)),
  );
}

// Exemplars of the metrics over OTLP, as the collector has them: a point of a dashboard leads to the same traces.
const ofMetrics = (exemplars) => exemplars.length > 0 && el('small', 'exemplars ', exemplars.map((one) => el('a.chip', {href: `#traces/${one.trace_id}`, title: `exemplar of ${one.metric}`}, duration(1000 * one.seconds))));

const cell = (name, ...content) => el('td', {'data-name': name}, content);

// The probability of the last request’s decision, and the most frequent reasons of kept ones.
function sampling({sampling: report, entry}) {
  if (!report) return '–';
  const reasons = Object.entries(report.kept_by).sort(([, a], [, b]) => b - a);
  return [
    el('span.number', report.probability === null ? 'as the caller decides' : share(report.probability, 1)),
    reasons.length > 0 && el('small', reasons.slice(0, 3).map(([reason, number], at) => [at > 0 && ', ', `${count(number)} by ${whyKept(reason)}`])),
    entry?.budget_traces_per_second && el('small', `budget ${rate(entry.kept_per_second)} of ${rate(entry.budget_traces_per_second)}/s`),
    entry && entry.load_factor < 1 && el('small', `rates at ${share(entry.load_factor, 1)}: the CPU is busy`),
  ];
}

// Requests in each interval of the window, as a line without numbers.
function spark(history) {
  const top = Math.max(...history, 1);
  const points = history.map((value, number) => `${(number / (history.length - 1)) * 100},${22 - (20 * value) / top}`);
  const picture = svg('svg', {class: 'spark', viewBox: '0 0 100 24', preserveAspectRatio: 'none', 'aria-hidden': 'true'});
  picture.append(svg('polyline', {points: points.join(' ')}));
  return picture;
}
