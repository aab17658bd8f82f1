// A waterfall: one row for each span, as a tree, with one ruler; the attributes of the chosen span are below.
//
// A bar is light while a child span runs and solid otherwise: the solid part of the gateway's bar is Kong's own time.

import {el, put} from './dom.js';
import {duration, many, share} from './format.js';

// A mask, or a pseudonym.
const REDACTED = /(\[REDACTED\]|REDACTED|hmac:[0-9a-f]{8}:[0-9a-f]{16})/;
const KINDS = {server: 'gateway', client: 'upstream', internal: 'inside'};
// INTERNAL spans of Kong's request debugging: a plugin by its own name, a step by its destination.
const STEPS = {'kong.plugin': 'plugin', 'kong.dns': 'DNS', 'kong.http': 'HTTP call', 'kong.connection': 'connection', 'kong.redis': 'Redis', 'kong.router': 'router', 'kong.other': 'step'};
const PHASES = ['rewrite', 'access', 'balancer', 'response', 'header_filter', 'body_filter', 'log'];
const PLUGINS_SHOWN = 12; // a route has a dozen at most

export class Waterfall {
  #rows;
  #whole;

  constructor(trace) {
    this.#rows = tree(trace.spans);
    this.#whole = Math.max(...trace.spans.map((span) => span.offset_ms + span.duration_ms), 0.001);
    this.attributes = el('div.attributes', {'aria-live': 'polite'});
    this.list = el('ul.spans', {role: 'listbox', 'aria-label': 'Spans', onkeydown: (event) => this.#key(event)});
    put(this.list, this.#rows.map(([depth, span, children]) => this.#row(depth, span, children)));
    this.element = el('div.waterfall', {vars: {'--ticks': ''}}, this.#ruler(), this.list, legend(this.#rows), this.attributes);
    this.#choose(this.list.firstChild, false);
  }

  #ruler() {
    const ticks = steps(this.#whole);
    return el('div.ruler', {'aria-hidden': 'true'}, el('span'), el('div.lane', ticks.map((ms) => el('i', {vars: {'--at': this.#at(ms)}}, duration(ms)))));
  }

  #row(depth, span, children) {
    const end = span.offset_ms + span.duration_ms;
    const own = gaps(span, children).map(([from, to]) => el('i.own', {vars: {'--from': part(from - span.offset_ms, span.duration_ms), '--to': part(to - span.offset_ms, span.duration_ms)}}));
    const late = (span.offset_ms + end) / 2 > this.#whole * 0.6;
    const code = attribute(span, 'http.response.status_code');
    return el(
      `li.span.${span.kind}${span.is_error ? '.bad' : ''}`,
      {role: 'option', tabindex: -1, 'data-span': span.span_id, onclick: (event) => this.#choose(event.currentTarget)},
      el('span.label', {vars: {'--depth': depth}}, el('span.kind', kindOf(span)), el('bdi.name', {title: span.name}, nameOf(span)), code && el('span.status', code), span.is_error && el('span.failed', attribute(span, 'error.type') === String(code) ? 'error' : attribute(span, 'error.type') ?? 'error')),
      el(
        'span.lane',
        steps(this.#whole).map((ms) => el('i.grid', {vars: {'--at': this.#at(ms)}})),
        el('span.bar', {vars: {'--from': this.#at(span.offset_ms), '--to': this.#at(end)}}, own),
        el(`span.time${late ? '.before' : ''}`, {vars: {'--from': this.#at(span.offset_ms), '--to': this.#at(end)}}, duration(span.duration_ms)),
      ),
    );
  }

  // Choose a span by its id.
  show(spanId) {
    const node = [...this.list.children].find((one) => one.dataset.span === spanId);
    if (node) this.#choose(node);
  }

  #at(ms) {
    return part(ms, this.#whole);
  }

  #key(event) {
    const rows = [...this.list.children];
    const at = rows.indexOf(document.activeElement);
    const goal = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1}[event.key];
    if (goal === undefined) return;
    this.#choose(rows[Math.max(0, Math.min(goal, rows.length - 1))]);
    event.preventDefault();
    event.stopPropagation();
  }

  #choose(node, focus = true) {
    for (const one of this.list.children) {
      one.setAttribute('aria-selected', one === node);
      one.tabIndex = one === node ? 0 : -1;
    }
    if (focus) node.focus();
    const [, span] = this.#rows[[...this.list.children].indexOf(node)];
    put(this.attributes, attributes(span));
  }
}

function legend(rows) {
  const kinds = new Set(rows.map(([, span]) => span.kind));
  return el(
    'p.legend',
    el('span.key.server', 'the gateway itself'),
    kinds.has('client') && [el('span.key.server.light', 'waiting for the upstream'), el('span.key.client', 'a try at the upstream')],
    kinds.has('internal') && el('span.key.internal', 'a part of Kong’s own time'),
  );
}

function attributes(span) {
  const groups = new Map();
  for (const [name, value] of span.attributes) {
    const group = name.startsWith('otlp_tracing.') ? 'Sampling' : name.startsWith('kong.') ? 'Kong' : name.startsWith('baggage.') ? 'Baggage' : 'Request';
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push([name, value]);
  }
  const ids = [
    ['span id', span.span_id],
    ['parent', span.parent_span_id || 'none: the trace begins here'],
    ...(span.trace_state ? [['tracestate', span.trace_state]] : []),
  ];
  return [
    el('h3', el('bdi', span.name), ' ', el('small', `${kindOf(span)} · ${duration(span.duration_ms)}`)),
    span.links.map((link) => el('p.link', 'Linked to the caller’s trace ', el('a', {href: `#traces/${link.trace_id}`}, link.trace_id), `, span ${link.span_id}`)),
    [...groups, ['Identity', ids]].map(([group, pairs]) =>
      el('section', el('h4', group), attributeList(pairs)),
    ),
  ];
}

export const attributeList = (pairs) => el('dl', pairs.map(([name, value]) => el('div', el('dt', el('bdi', name)), el('dd', shown(value)))));

// The times of the plugins, the longest first, from Kong's request debugging; null if the trace has none.
export function kongTimes(spans) {
  const plugins = spans.filter((span) => span.name === 'kong.plugin').sort((a, b) => b.duration_ms - a.duration_ms);
  if (!plugins.length) return null;
  const byId = new Map(spans.map((span) => [span.span_id, span]));
  const sum = plugins.reduce((total, span) => total + span.duration_ms, 0);
  return el(
    'section.plugins',
    {'aria-label': 'Time by plugin'},
    el('h3', 'Time by plugin ', el('small', 'Kong’s request debugging gives durations; the starts in the waterfall are estimates')),
    el(
      'table.plain',
      el('thead', el('tr', ['Plugin', 'Phase', 'Time', 'Share'].map((text) => el('th', {scope: 'col'}, text)))),
      el('tbody', plugins.slice(0, PLUGINS_SHOWN).map((span) => el('tr', el('th', {scope: 'row'}, el('bdi', nameOf(span))), el('td', phaseOf(span, byId)), el('td', duration(span.duration_ms)), el('td', share(span.duration_ms, sum))))),
    ),
    plugins.length > PLUGINS_SHOWN && el('p.hint', `${many(plugins.length - PLUGINS_SHOWN, 'shorter one')} in the waterfall`),
  );
}

function phaseOf(span, byId) {
  const parent = byId.get(span.parent_span_id);
  return parent && PHASES.includes(parent.name.slice(5)) ? parent.name.slice(5) : '–';
}

function kindOf(span) {
  if (span.kind !== 'internal') return KINDS[span.kind];
  return STEPS[span.name] ?? (span.name.startsWith('kong.') && PHASES.includes(span.name.slice(5)) ? 'phase' : KINDS.internal);
}

function nameOf(span) {
  if (span.kind !== 'internal') return span.name;
  return attribute(span, 'kong.plugin.name') ?? attribute(span, 'kong.step') ?? (kindOf(span) === 'phase' ? span.name.slice(5) : span.name);
}

// A value, with its redacted parts marked.
export function shown(value) {
  const texts = Array.isArray(value) ? value : [value];
  return texts.map((text, number) => [number > 0 && ', ', el('bdi', String(text).split(REDACTED).map((piece, at) => (at % 2 ? el('mark', {title: 'Redacted before it was stored or sent'}, piece) : piece)))]);
}

const attribute = (span, name) => span.attributes.find(([key]) => key === name)?.[1];

const part = (ms, whole) => (whole > 0 ? Math.max(0, Math.min(1, ms / whole)) : 0).toFixed(5);

// Parents before children, siblings by start; a span whose parent is in another process is at the left.
function tree(spans) {
  const known = new Set(spans.map((span) => span.span_id));
  const children = new Map();
  for (const span of [...spans].sort((a, b) => a.offset_ms - b.offset_ms)) {
    const parent = known.has(span.parent_span_id) && span.parent_span_id !== span.span_id ? span.parent_span_id : '';
    children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  const rows = [];
  const seen = new Set();
  const add = (span, depth) => {
    if (seen.has(span)) return;
    seen.add(span);
    const own = children.get(span.span_id) ?? [];
    rows.push([depth, span, own]);
    for (const child of own) add(child, depth + 1);
  };
  for (const span of children.get('') ?? []) add(span, 0);
  for (const span of spans) add(span, 0); // spans in a cycle of parents
  return rows;
}

// The times within a span in which no child runs, without invisibly short ones.
function gaps(span, children) {
  const end = span.offset_ms + span.duration_ms;
  const least = span.duration_ms / 100;
  const found = [];
  let at = span.offset_ms;
  for (const child of children) {
    if (child.offset_ms - at > least) found.push([at, Math.min(child.offset_ms, end)]);
    at = Math.max(at, child.offset_ms + child.duration_ms);
  }
  if (end - at > least || !children.length) found.push([at, end]);
  return found;
}

// Round numbers for the ruler, three to five of them.
function steps(whole) {
  const rough = whole / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const found = [];
  for (let at = 0; at <= whole * 1.0001; at += step) found.push(at);
  return found;
}
