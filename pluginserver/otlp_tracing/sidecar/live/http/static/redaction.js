// The redaction report: counts of findings, never a value.

import {el, put} from './dom.js';
import {count} from './format.js';
import {PolledView} from './polled.js';

const HINT = 'Secrets found in spans before export, by rule, route and attribute. Values are not stored, only their number.';

export class RedactionView extends PolledView {
  constructor() {
    super('/redaction', 'redaction', 'Redaction', HINT);
  }

  draw({since, findings}) {
    const rows = sideBySide(findings);
    put(this.note, `${HINT} Counted since the sidecar started, ${since.replace('T', ' ').replace('Z', ' UTC')}.`);
    const total = (action) => findings.filter((one) => one.action === action).reduce((sum, one) => sum + one.count, 0);
    put(
      this.body,
      el(
        'div.figures',
        figure(count(total('redacted')), 'redacted', 'removed, masked or replaced before export'),
        figure(count(total('reported')), 'reported by a dry run', total('reported') ? 'these values were EXPORTED unredacted; dry_run: false redacts them' : 'no entry has a dry run, or it found nothing', total('reported') ? 'bad' : ''),
      ),
      rows.length
        ? el(
            'div.scroll',
            {tabindex: 0, role: 'region', 'aria-label': 'Findings'},
            el(
              'table.findings.cards',
              el('thead', el('tr', ['Rule', 'Attribute', 'Route', 'Redacted', 'Dry run', 'Different values'].map((text) => el('th', {scope: 'col'}, text)))),
              el('tbody', rows.map(row)),
            ),
          )
        : el('div.empty', el('h2', 'No findings'), el('p', 'Values of query parameters and headers with sensitive names are found by name; e-mail addresses, tokens, keys and others by content, in all strings of a span. Findings are counted here.')),
    );
  }
}

// One row for each rule, attribute and route, with the counts of redacted and of reported findings.
function sideBySide(findings) {
  const rows = new Map();
  for (const one of findings) {
    const key = JSON.stringify([one.rule, one.attribute, one.route]);
    const row = rows.get(key) ?? {...one, redacted: 0, reported: 0, values: new Set(), more: false};
    row[one.action] += one.count;
    for (const print of Object.keys(one.fingerprints)) row.values.add(print);
    row.more ||= one.more_values;
    rows.set(key, row);
  }
  return [...rows.values()].sort((a, b) => b.redacted + b.reported - a.redacted - a.reported);
}

function row(one) {
  return el(
    'tr',
    el('th', {scope: 'row'}, el('bdi', one.rule)),
    cell('Attribute', el('bdi', el('code', one.attribute))),
    cell('Route', el('bdi', one.route || 'no route')),
    cell('Redacted', count(one.redacted)),
    cell('Dry run', one.reported ? el('span.bad', count(one.reported)) : '0'),
    cell('Different values', one.more ? `more than ${one.values.size}` : count(one.values.size)),
  );
}

const cell = (name, content) => el('td', {'data-name': name}, content);

const figure = (number, name, hint, kind = 'plain') => el(`div.figure.${kind || 'plain'}`, el('b', number), el('span', name), el('small', hint));
