// The last warnings of the sidecar and the plugin server's processes, the newest first.

import {el, put} from './dom.js';
import {count, period} from './format.js';
import {PolledView} from './polled.js';

export class LogView extends PolledView {
  constructor() {
    super('/log', 'log', 'Log', 'The last warnings and errors of the sidecar and of the plugin server. A line that was repeated is shown once, with its number.');
  }

  draw({lines, omitted}) {
    put(
      this.body,
      lines.length
        ? el(
            'div.scroll',
            {tabindex: 0, role: 'region', 'aria-label': 'Lines'},
            el(
              'table.findings.cards',
              el('thead', el('tr', ['Last', 'Process', 'Level', 'Line', 'Times'].map((text) => el('th', {scope: 'col'}, text)))),
              el('tbody', [...lines].reverse().map(row)),
            ),
          )
        : el('div.empty', el('h2', 'No warnings'), el('p', 'No process has logged a warning since the sidecar started.')),
      omitted > 0 && el('p.hint', `${count(omitted)} older lines were dropped.`),
    );
  }
}

function row(one) {
  return el(
    'tr',
    el('th', {scope: 'row', title: one.at}, `${period(one.age_s)} ago`),
    cell('Process', one.process),
    cell('Level', el(`span.pill.${one.level === 'WARNING' ? 'odd' : 'bad'}`, one.level.toLowerCase())),
    cell('Line', el('bdi', one.text)),
    cell('Times', count(one.count)),
  );
}

const cell = (name, content) => el('td', {'data-name': name}, content);
