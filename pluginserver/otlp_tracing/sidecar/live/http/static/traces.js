// The live list of traces, and the open trace.

import {read} from './api.js';
import {arrange, el, put} from './dom.js';
import {clock, count, duration, many, routeName, statusClass, whyKept} from './format.js';
import {TraceDetail} from './trace.js';

const SHOWN = 200; // rows in the document; filters search all of them
const BUSY = 3; // if more rows arrive at once, the list waits while the pointer is over it
const REASONS = ['parent', 'policy', 'rule', 'rate', 'budget', 'load', 'error', 'retry', 'slow', 'status', 'rare', 'tail_rule'];

export class TracesView {
  #store;
  #nodes = new Map();
  #filters = {text: '', service: '', status: '', ms: 0, why: ''};
  #routes = new Set();
  #paused = false;
  #last = null; // the rows drawn last
  #held = null; // the rows shown while newer ones wait
  #open = '';
  #detail;

  constructor(store) {
    this.#store = store;
    this.#detail = new TraceDetail(store, () => this.#close());
    this.#build();
    store.addEventListener('hello', () => this.#draw());
    store.addEventListener('traces', () => this.#arrived());
  }

  #build() {
    const change = (name, read = (input) => input.value) => (event) => {
      this.#filters[name] = read(event.target);
      this.#draw();
    };
    this.search = el('input', {type: 'search', placeholder: 'Search path, host, trace id …', 'aria-label': 'Search', oninput: change('text'), 'aria-keyshortcuts': '/'});
    this.routeSelect = el('select', {'aria-label': 'Route', onchange: change('service')}, el('option', {value: ''}, 'Any route'));
    const status = select('Status', change('status'), [['', 'Any status'], ['2', '2xx'], ['3', '3xx'], ['4', '4xx'], ['5', '5xx'], ['e', 'Errors']]);
    const slow = select('Duration', change('ms', (input) => Number(input.value)), [[0, 'Any duration'], [10, '≥ 10 ms'], [50, '≥ 50 ms'], [100, '≥ 100 ms'], [500, '≥ 500 ms'], [1000, '≥ 1 s'], [5000, '≥ 5 s']]);
    const why = select('Why kept', change('why'), [['', 'Kept for any reason'], ...REASONS.map((reason) => [reason, `Kept: ${whyKept(reason)}`])]);
    this.selects = [this.routeSelect, status, slow, why];
    this.pause = el('button', {type: 'button', 'aria-pressed': 'false', 'aria-keyshortcuts': 'p', onclick: () => this.#togglePause()}, 'Pause');
    this.clear = el('button.quiet', {type: 'button', hidden: true, onclick: () => this.#clear()}, 'Clear filters');
    this.tally = el('span.tally', {role: 'status'});
    this.waiting = el('button.waiting', {type: 'button', hidden: true, onclick: () => this.#release()});
    this.list = el('ul.traces', {role: 'listbox', 'aria-label': 'Traces, the newest first', onkeydown: (event) => this.#listKey(event)});
    this.empty = el('div.empty', {hidden: true});
    this.element = el(
      'div.split',
      el('h1.unseen', 'Traces'),
      el(
        'section.pane',
        {'aria-label': 'Traces'},
        this.#intro(),
        el('div.filters', {role: 'search'}, this.search, this.selects, this.pause, this.clear, this.tally),
        this.waiting,
        this.list,
        this.empty,
      ),
      this.#detail.element,
    );
    this.element.addEventListener('mouseleave', () => this.#release());
  }

  // Shown once in each browser.
  #intro() {
    if (localStorage.getItem('introduced')) return null;
    const away = () => {
      localStorage.setItem('introduced', 'yes');
      intro.remove();
    };
    const intro = el(
      'div.intro',
      el('p', 'Requests through Kong whose traces are kept, as they are exported. Open one for its waterfall. ', el('button.link', {type: 'button', onclick: () => dispatchEvent(new Event('help-wanted'))}, 'What is this page?')),
      el('button.quiet', {type: 'button', 'aria-label': 'Do not show this again', onclick: away}, '✕'),
    );
    return intro;
  }

  enter(traceId) {
    if (/^[0-9a-f]{32}$/.test(traceId)) this.#show(traceId);
    else this.#hide();
    this.#draw();
  }

  leave() {}

  key(key) {
    if (key === '/') this.search.focus();
    else if (key === 'p') this.#togglePause();
    else if (key === 'j' || key === 'k') this.#step(key === 'j' ? 1 : -1);
    else if (key === 'Escape' && this.#open) this.#close();
    else return false;
    return true;
  }

  // Show only the traces of one route.
  filterRoute(service, route) {
    this.#clear();
    this.#addRoute(service, route);
    this.routeSelect.value = this.#filters.service = routeKey(service, route);
    this.#draw();
  }

  #arrived() {
    const busy = this.#fresh() > BUSY;
    const pointed = this.list.matches(':hover') || this.list.contains(document.activeElement);
    if (!this.#held && (this.#paused || (busy && pointed))) this.#held = this.#last ?? this.#store.rows;
    else if (this.#held && !this.#paused && !pointed) this.#held = null;
    this.#draw();
  }

  // The number of rows since the list was drawn.
  #fresh() {
    return (this.#store.rows[0]?.number ?? 0) - (this.#last?.[0]?.number ?? 0);
  }

  #release() {
    if (this.#paused || !this.#held) return;
    this.#held = null;
    this.#draw();
  }

  #togglePause() {
    this.#paused = !this.#paused;
    this.#held = this.#paused ? this.#store.rows : null;
    this.pause.setAttribute('aria-pressed', this.#paused);
    put(this.pause, this.#paused ? 'Resume' : 'Pause');
    this.#draw();
  }

  #clear() {
    this.#filters = {text: '', service: '', status: '', ms: 0, why: ''};
    this.search.value = '';
    for (const one of this.selects) one.selectedIndex = 0;
    this.#draw();
  }

  #draw() {
    const rows = this.#held ?? this.#store.rows;
    this.#last = rows;
    for (const row of rows) this.#addRoute(row.service, row.route);
    const found = rows.filter((row) => matches(row, this.#filters));
    const nodes = found.slice(0, SHOWN).map((row) => this.#node(row));
    arrange(this.list, nodes);
    this.#forget(rows);
    this.#rove();
    const filtered = Object.values(this.#filters).some(Boolean);
    this.clear.hidden = !filtered;
    const newer = this.#held ? this.#fresh() : 0;
    this.waiting.hidden = newer <= 0;
    if (newer > 0) put(this.waiting, `${many(newer, 'newer trace')} · show`);
    put(this.tally, tally(found.length, rows.length, filtered, this.#store.passedOver));
    this.list.hidden = !nodes.length;
    this.empty.hidden = nodes.length > 0;
    if (!nodes.length) put(this.empty, filtered && rows.length ? noMatch(() => this.#clear()) : nothingYet(this.#store));
  }

  #node(row) {
    let node = this.#nodes.get(row.number);
    if (!node) {
      node = rowNode(row, () => this.#select(node));
      this.#nodes.set(row.number, node);
    }
    node.setAttribute('aria-selected', row.trace_id === this.#open);
    return node;
  }

  #forget(rows) {
    if (this.#nodes.size < 2 * rows.length + SHOWN) return;
    const there = new Set(rows.map((row) => row.number));
    for (const number of this.#nodes.keys()) if (!there.has(number)) this.#nodes.delete(number);
  }

  #addRoute(service, route) {
    const key = routeKey(service, route);
    if (this.#routes.has(key) || this.#routes.size > 500) return;
    this.#routes.add(key);
    this.routeSelect.append(el('option', {value: key}, routeName(service, route)));
  }

  // Tab reaches one row; the arrow keys move from there.
  #rove() {
    const options = [...this.list.children];
    const chosen = options.find((node) => node === document.activeElement) ?? options.find((node) => node.getAttribute('aria-selected') === 'true') ?? options[0];
    for (const node of options) node.tabIndex = node === chosen ? 0 : -1;
  }

  #listKey(event) {
    const options = [...this.list.children];
    const at = options.indexOf(document.activeElement);
    const goal = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: options.length - 1, PageDown: at + 10, PageUp: at - 10}[event.key];
    if (goal !== undefined) this.#focus(options[Math.max(0, Math.min(goal, options.length - 1))]);
    else if (event.key === 'Enter' || event.key === ' ') this.#select(document.activeElement);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #step(by) {
    const options = [...this.list.children];
    const at = options.findIndex((node) => node.tabIndex === 0);
    const focused = this.list.contains(document.activeElement);
    this.#focus(options[focused ? Math.max(0, Math.min(at + by, options.length - 1)) : Math.max(at, 0)]);
  }

  #focus(node) {
    if (!node) return;
    node.focus();
    this.#rove();
  }

  #select(node) {
    location.hash = `traces/${node.dataset.trace}`;
  }

  async #show(traceId) {
    this.#open = traceId;
    this.element.classList.add('is-open');
    await this.#detail.show(traceId, () => read(`/traces/${traceId}`));
  }

  #hide() {
    this.#open = '';
    this.element.classList.remove('is-open');
    this.#detail.hide();
  }

  #close() {
    const row = [...this.list.children].find((node) => node.dataset.trace === this.#open);
    location.hash = 'traces';
    this.#focus(row);
  }
}

function rowNode(row, onclick) {
  return el(
    `li.trace.${row.is_error ? 'bad' : 'ok'}`,
    {role: 'option', 'data-trace': row.trace_id, onclick, tabindex: -1},
    el('span.at', clock(row.start_ms)),
    el(`span.code.${statusClass(row.status)}`, row.status || '–'),
    el('span.what', el('b', row.method), ' ', el('bdi', {title: row.target}, row.target)),
    el('span.route', el('bdi', routeName(row.service, row.route))),
    el('span.marks', row.has_redacted && el('span.chip.redacted', 'redacted'), row.spans > 2 && el('span.chip', many(row.spans, 'span'))),
    el(`span.chip.why.${REASONS.includes(row.why) ? row.why : 'other'}`, {title: row.rule || null}, row.rule ? el('bdi', row.rule) : whyKept(row.why)),
    el('span.took', {vars: {'--took': tookShare(row.duration_ms)}}, duration(row.duration_ms)),
  );
}

// A bar in the row, on a logarithmic scale from 1 ms to 10 s.
const tookShare = (ms) => `${Math.max(2, Math.min(100, 25 * Math.log10(Math.max(ms, 1))))}%`;

function matches(row, filters) {
  const {text, service, status, ms, why} = filters;
  if (service && routeKey(row.service, row.route) !== service) return false;
  if (status === 'e' ? !row.is_error : status && Math.floor(row.status / 100) !== Number(status)) return false;
  if (ms && row.duration_ms < ms) return false;
  if (why && row.why !== why) return false;
  if (!text) return true;
  const all = `${row.method} ${row.target} ${row.name} ${row.host} ${row.service} ${row.route} ${row.trace_id} ${row.status} ${row.why} ${row.rule}`.toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}

function tally(found, all, filtered, passedOver) {
  if (!all) return '';
  const shown = filtered ? `${count(found)} of ${many(all, 'trace')}` : many(all, 'trace');
  return passedOver ? `${shown}; ${count(passedOver)} more were exported but not listed: too many of one route` : shown;
}

const routeKey = (service, route) => JSON.stringify([service, route]);

function select(label, onchange, options) {
  return el('select', {'aria-label': label, onchange}, options.map(([value, text]) => el('option', {value}, text)));
}

function noMatch(clear) {
  return [el('h2', 'No trace matches'), el('p', 'New traces that match will appear here.'), el('button', {type: 'button', onclick: clear}, 'Clear filters')];
}

function nothingYet(store) {
  if (store.requests) {
    return [
      el('h2', `${many(store.requests, 'request')}, no trace kept`),
      el('p', 'Sampling kept none: the rate or the rules of the plugin entry, or the caller’s decision (a traceparent that ends in -00). ', el('a', {href: '#trial'}, 'Try other rules'), ' on these requests.'),
    ];
  }
  return [
    el('h2', 'No request yet'),
    el('p', 'This is the sidecar of otlp-tracing, the tracing plugin for Kong. The trace of a request through Kong appears here within a second. If none appears:'),
    el(
      'ol',
      el('li', 'Enable the plugin otlp-tracing for the service, for the route, or globally.'),
      el('li', 'Check that Kong’s log reports the start of the plugin server.'),
      el('li', 'Send a request through Kong.'),
    ),
  ];
}
