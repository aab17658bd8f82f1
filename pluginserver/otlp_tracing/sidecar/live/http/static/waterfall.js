// A waterfall: one row for each span, as a tree, with one ruler; the attributes of the chosen span are below.
//
// A bar is light while a child span runs and solid otherwise: the solid part of the gateway's bar is Kong's own time.

import {el, put} from './dom.js';
import {duration} from './format.js';

// A mask, or a pseudonym.
const REDACTED = /(\[REDACTED\]|REDACTED|hmac:[0-9a-f]{8}:[0-9a-f]{16})/;
const KINDS = {server: 'gateway', client: 'upstream', internal: 'inside'};

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
      el('span.label', {vars: {'--depth': depth}}, el('span.kind', KINDS[span.kind]), el('bdi.name', {title: span.name}, span.name), code && el('span.status', code), span.is_error && el('span.failed', attribute(span, 'error.type') === String(code) ? 'error' : attribute(span, 'error.type') ?? 'error')),
      el(
        'span.lane',
        steps(this.#whole).map((ms) => el('i.grid', {vars: {'--at': this.#at(ms)}})),
        el('span.bar', {vars: {'--from': this.#at(span.offset_ms), '--to': this.#at(end)}}, own),
        el(`span.time${late ? '.before' : ''}`, {vars: {'--from': this.#at(span.offset_ms), '--to': this.#at(end)}}, duration(span.duration_ms)),
      ),
    );
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
    kinds.has('internal') && el('span.key.internal', 'before the upstream was called'),
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
    el('h3', el('bdi', span.name), ' ', el('small', `${KINDS[span.kind]} · ${duration(span.duration_ms)}`)),
    span.links.map((link) => el('p.link', 'Linked to the caller’s trace ', el('a', {href: `#traces/${link.trace_id}`}, link.trace_id), `, span ${link.span_id}`)),
    [...groups, ['Identity', ids]].map(([group, pairs]) =>
      el('section', el('h4', group), el('dl', pairs.map(([name, value]) => el('div', el('dt', el('bdi', name)), el('dd', shown(value)))))),
    ),
  ];
}

// A value, with its redacted parts marked.
function shown(value) {
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
