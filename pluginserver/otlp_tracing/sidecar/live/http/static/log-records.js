// The access log records of a trace, as they are exported, beside its spans.

import {el} from './dom.js';
import {clockMs, many} from './format.js';
import {attributeList, shown} from './waterfall.js';

const SEVERITIES = {INFO: 'fine', WARN: 'odd', ERROR: 'bad'};

export function logRecords(records, showSpan) {
  if (!records.length) return null;
  return el('section.records', {'aria-label': 'Log records'}, records.map((one) => record(one, showSpan)));
}

function record(one, showSpan) {
  return el(
    'details.record',
    el('summary', el('span', 'Log record'), el(`span.pill.${SEVERITIES[one.severity] ?? 'plain'}`, one.severity), el('span.at', clockMs(one.at_ms)), one.body ? el('span', shown(one.body)) : el('small', many(one.attributes.length, 'attribute'))),
    el('div.attributes', el('p', el('button.link', {type: 'button', onclick: () => showSpan(one.span_id)}, `span ${one.span_id}`)), attributeList(one.attributes)),
  );
}
