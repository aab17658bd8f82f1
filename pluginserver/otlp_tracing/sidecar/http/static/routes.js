// Every route over the last minutes: how much, how well, how fast, and how much of it is kept and why.

import {read} from './api.js';
import {el, put, svg} from './dom.js';
import {count, duration, period, rate, routeName, share} from './format.js';

const EVERY_MS = 2000;
const COLUMNS = [
  ['route', 'Route', (one) => routeName(one.service, one.route)],
  ['rate', 'Requests/s', (one) => one.requests],
  ['errors', 'Errors', (one) => one.server_errors / one.requests],
  ['p50', 'p50', (one) => one.percentiles_ms[0]],
  ['p95', 'p95', (one) => one.percentiles_ms[1]],
  ['p99', 'p99', (one) => one.percentiles_ms[2]],
  ['kept', 'Kept', (one) => one.kept / one.requests],
];

export class RoutesView {
  #timer = 0;
  #sort = 'rate';
  #down = true;
  #data = null;

  constructor() {
    this.body = el('tbody');
    this.head = el('tr');
    this.note = el('p.hint');
    this.empty = el('div.empty', {hidden: true}, el('h2', 'No request in the last minutes'), el('p', 'Each route that has any appears here: all of its requests are counted, kept or not.'));
    this.table = el('table.routes', el('thead', this.head), this.body);
    this.element = el('section.page', {'aria-labelledby': 'routes-title'}, el('h1', {id: 'routes-title'}, 'Routes'), this.note, el('div.scroll', {tabindex: 0, role: 'region', 'aria-label': 'Figures by route'}, this.table), this.empty);
  }

  enter() {
    clearTimeout(this.#timer);
    this.#load();
  }

  leave() {
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  async #load() {
    try {
      if (!document.hidden) this.#data = await read('/routes');
      this.#draw();
    } catch (error) {
      put(this.note, error.message);
    }
    clearTimeout(this.#timer);
    if (this.element.isConnected) this.#timer = setTimeout(() => this.#load(), EVERY_MS);
  }

  #draw() {
    if (!this.#data) return;
    const {routes, window_seconds: seconds} = this.#data;
    put(this.note, `All requests of the last ${period(seconds)}, kept or not. A percentile is off by 3 % at the most.`);
    this.table.hidden = !routes.length;
    this.empty.hidden = routes.length > 0;
    if (!this.head.firstChild) put(this.head, COLUMNS.map(([key, text]) => el('th', {scope: 'col', 'data-key': key}, el('button', {type: 'button', onclick: () => this.#by(key)}, text))), el('th', {scope: 'col'}, 'Sampling now'), el('th', {scope: 'col'}, 'Traces'));
    for (const cell of this.head.querySelectorAll('[data-key]')) {
      if (cell.dataset.key === this.#sort) cell.setAttribute('aria-sort', this.#down ? 'descending' : 'ascending');
      else cell.removeAttribute('aria-sort');
    }
    const value = COLUMNS.find(([key]) => key === this.#sort)[2];
    const sorted = [...routes].sort((a, b) => (value(a) > value(b) ? 1 : value(a) < value(b) ? -1 : 0) * (this.#down ? -1 : 1));
    if (!this.body.contains(document.activeElement)) put(this.body, sorted.map((one) => row(one, seconds)));
  }

  #by(key) {
    this.#down = this.#sort === key ? !this.#down : key !== 'route';
    this.#sort = key;
    this.#draw();
  }
}

function row(one, seconds) {
  const [p50, p95, p99] = one.percentiles_ms;
  return el(
    'tr',
    el('th', {scope: 'row'}, el('bdi', routeName(one.service, one.route)), one.route && one.service && el('small', el('bdi', one.service))),
    cell('Requests/s', el('span.number', rate(one.requests / seconds)), spark(one.history)),
    cell('Errors', el(`span.number${one.server_errors ? '.bad' : ''}`, share(one.server_errors, one.requests)), one.client_errors ? el('small', `4xx ${share(one.client_errors, one.requests)}`) : null),
    cell('p50', duration(p50)),
    cell('p95', duration(p95)),
    cell('p99', duration(p99)),
    cell('Kept', el('span.number', share(one.kept, one.requests)), el('small', `${count(one.kept)} of ${count(one.requests)}`)),
    cell('Sampling now', sampling(one)),
    cell('Traces', one.exemplars.map((trace) => el('a.chip', {href: `#traces/${trace.trace_id}`, title: `${trace.status}, ${duration(trace.duration_ms)}`}, trace.what))),
  );
}

const cell = (name, ...what) => el('td', {'data-name': name}, what);

function sampling() {
  return '–';
}

// Requests in each slot of the window, as a line without numbers: its shape is what it says.
function spark(history) {
  const top = Math.max(...history, 1);
  const points = history.map((value, number) => `${(number / (history.length - 1)) * 100},${22 - (20 * value) / top}`);
  const picture = svg('svg', {class: 'spark', viewBox: '0 0 100 24', preserveAspectRatio: 'none', 'aria-hidden': 'true'});
  picture.append(svg('polyline', {points: points.join(' ')}));
  return picture;
}
