// Destinations: their state, their backlog, and the balance of their spans.

import {el, put} from './dom.js';
import {bytes, count, many, period, share} from './format.js';
import {PolledView} from './polled.js';

const STATES = {
  ok: ['fine', 'delivering'],
  retrying: ['odd', 'retrying'],
  held: ['bad', 'held: a setting is wrong'],
  rejecting: ['odd', 'the last batch was rejected'],
  unknown: ['odd', 'waiting for its configuration'],
  idle: ['plain', 'idle'],
};
const RANKS = ['ok', 'idle']; // other states come first
const REASONS = {
  spool_full: 'the spool was full: the oldest were dropped',
  memory_full: 'the spool cannot be written and memory was full',
  retry_expired: 'not delivered within max_retry_time',
  too_large: 'larger than a collector accepts',
  bad_span: 'could not be encoded, or the collector rejected it',
  corrupt: 'the spool file was damaged',
};

export class DeliveryView extends PolledView {
  constructor() {
    super('/delivery', 'delivery', 'Delivery', 'Spans and log records that are not yet delivered wait on disk. Each received one is counted in exactly one of these numbers.');
  }

  draw({spool_trouble: trouble, destinations, policy, debug_session: session}) {
    put(
      this.body,
      policy && policies(policy),
      session && debugSession(session),
      trouble && el('p.warning', {role: 'alert'}, `Spool write failed, spans and log records are in memory only: ${trouble}`),
      [...destinations].sort((a, b) => RANKS.indexOf(a.state) - RANKS.indexOf(b.state) || b.received - a.received).map(card),
      !destinations.length && el('div.empty', el('h2', 'No destination yet'), el('p', 'The endpoint of a plugin entry appears here with the first traced request.')),
    );
  }
}

function policies({file, sender, policies: names, applied_s: age, fault, sha256, is_restored: restored}) {
  return [
    fault && el('p.warning', {role: 'alert'}, `Policy file refused: ${fault}`),
    el('p.hint', age === null ? 'No policy is in force. File: ' : `${count(names.length)} ${names.length === 1 ? 'policy' : 'policies'} in force for ${period(age)}, from `, age !== null && [el('bdi', sender || 'an unnamed sender'), restored && `, from the copy of the last good file (${sha256.slice(0, 12)})`, '. File: '], el('bdi', file)),
  ];
}

function debugSession({sender, match, age_s: age, left_s: seconds, left_requests: requests, kept}) {
  const conditions = Object.entries(match).map(([name, values]) => `${name} ${[values].flat().join(', ')}`);
  return el('p.hint', 'A debug session of ', el('bdi', sender || 'an unnamed sender'), ` runs for ${period(age)}: ${many(kept, 'request')} kept, ${period(seconds)} or ${many(requests, 'request')} left. It keeps `, el('bdi', conditions.join('; ')), '.');
}

function card(one) {
  const isNew = one.state === 'ok' && one.last_success_s === null;
  const [kind, words] = isNew ? ['plain', 'nothing delivered yet'] : STATES[one.state] ?? ['odd', one.state];
  const noun = one.signal === 'logs' ? 'log record' : 'span';
  const drops = Object.entries(one.dropped).filter(([, number]) => number);
  const dropped = drops.reduce((sum, [, number]) => sum + number, 0);
  return el(
    'article.card',
    {'aria-label': one.destination},
    el('header', el(`span.pill.${kind}`, words), el('h2', el('bdi', one.destination)), el('small', one.protocol)),
    one.reason && el('p.why', el('bdi', one.reason), one.failing_s !== null && `, for ${period(one.failing_s)}`),
    one.remedy && el('p.why', `Remedy: ${one.remedy}`),
    el(
      'dl.facts',
      fact('Last success', one.last_success_s === null ? 'none yet' : `${period(one.last_success_s)} ago`),
      fact(`Oldest waiting ${noun}`, one.oldest_s === null ? 'none' : `${period(one.oldest_s)} old`),
      el('div.wide', el('dt', 'Spool'), el('dd', el('span.meter', {vars: {'--part': one.spool_bytes / one.spool_max_bytes}}, `${bytes(one.spool_bytes)} of ${bytes(one.spool_max_bytes)}, ${share(one.spool_bytes, one.spool_max_bytes)}`))),
    ),
    el(
      'div.balance',
      {role: 'group', 'aria-label': 'The balance'},
      term('received', one.received),
      one.restored > 0 && [sign('+'), term('from the spool', one.restored)],
      sign('='),
      term('exported', one.exported, 'good'),
      sign('+'),
      term('waiting', one.spooled),
      sign('+'),
      term('in flight', one.in_flight),
      sign('+'),
      term('rejected', one.rejected, one.rejected ? 'lost' : ''),
      sign('+'),
      term('dropped', dropped, dropped ? 'lost' : ''),
      el(`span.pill.${one.balance ? 'bad' : 'fine'}`, one.balance ? `off by ${many(one.balance, noun)}: an internal error` : 'balances'),
    ),
    drops.length > 0 && el('table.plain', el('thead', el('tr', el('th', {scope: 'col'}, 'Drop reason'), el('th', {scope: 'col'}, one.signal === 'logs' ? 'Log records' : 'Spans'))), el('tbody', drops.map(([reason, number]) => el('tr', el('th', {scope: 'row'}, reason, el('small', REASONS[reason] ?? '')), el('td', count(number)))))),
  );
}

const fact = (name, value) => el('div', el('dt', name), el('dd', value));

const sign = (text) => el('span.sign', text);

const term = (name, number, kind = 'plain') => el(`span.term.${kind || 'plain'}`, el('b', count(number)), el('small', name));
