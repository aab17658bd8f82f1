// The frame: views and their keys, the state of the connection, help, the token.

import {follow, setToken} from './api.js';
import {el, put} from './dom.js';
import {rate, share} from './format.js';
import {Store} from './store.js';
import {TracesView} from './traces.js';
import {RoutesView} from './routes.js';
import {DeliveryView} from './delivery.js';
import {RedactionView} from './redaction.js';
import {TrialView} from './trial.js';

const $ = (id) => document.getElementById(id);
const store = new Store();
const VIEWS = {
  traces: ['Traces', new TracesView(store)],
  routes: ['Routes', new RoutesView()],
  delivery: ['Delivery', new DeliveryView()],
  redaction: ['Redaction', new RedactionView()],
  trial: ['Try it', new TrialView()],
};
const names = Object.keys(VIEWS);
let current = null;

function show() {
  const [name, argument = ''] = decodeURIComponent(location.hash.slice(1)).split('/');
  const chosen = VIEWS[name] ? name : 'traces';
  if (chosen !== current) {
    if (current) VIEWS[current][1].leave();
    current = chosen;
    put($('main'), VIEWS[chosen][1].element);
    document.title = `${VIEWS[chosen][0]} · otlp-tracing`;
    for (const link of $('nav').children) {
      if (link.dataset.view === chosen) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
  }
  VIEWS[chosen][1].enter(argument);
}

// The theme: as the system has it, or the other one.

const THEMES = ['auto', 'light', 'dark'];

function nextTheme() {
  const now = document.documentElement.dataset.theme;
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  document.documentElement.dataset.theme = next;
  localStorage.setItem('theme', next);
  nameTheme();
}

function nameTheme() {
  const now = document.documentElement.dataset.theme;
  put($('theme'), `Theme: ${now}`);
}

// The state of the connection.

function showState() {
  const rates = store.rates();
  const kept = rates?.requests ? ` · ${share(rates.kept, rates.requests)} kept` : '';
  const text = rates ? `live · ${rate(rates.requests)} req/s${kept}` : 'live';
  if ($('state').dataset.is === 'live') put($('state'), text);
}

function onState(state, failure, wait) {
  $('state').dataset.is = state;
  if (state === 'live') {
    $('notice').hidden = true;
    put($('state'), 'live');
    $('token')?.remove();
    return;
  }
  put($('state'), 'not connected');
  if (failure?.status === 401) return;
  $('notice').hidden = false;
  put(
    $('notice'),
    `${failure?.message ?? 'The stream of traces ended.'} What is shown is what came before; trying again`,
    wait > 1500 ? ` in ${Math.round(wait / 1000)} s. ` : '. ',
    el('button', {type: 'button', onclick: () => retry()}, 'Try now'),
  );
}

addEventListener('token-needed', (event) => {
  if ($('token')) {
    put($('token-fault'), event.detail ? 'That is not the token.' : '');
    return;
  }
  const field = el('input', {id: 'token-field', type: 'password', autocomplete: 'off', required: true});
  const enter = (submitted) => {
    submitted.preventDefault();
    setToken(field.value.trim());
    retry();
    VIEWS[current][1].enter('');
  };
  const form = el(
    'form.token',
    {id: 'token', onsubmit: enter},
    el('label', {for: 'token-field'}, 'This page asks for its token'),
    el('div.row', field, el('button.main', {type: 'submit'}, 'Open')),
    el('p.fault', {id: 'token-fault', role: 'alert'}, event.detail ? 'That is not the token.' : ''),
    el('p.hint', 'It is what --page-token-file or OTLP_TRACING_PAGE_TOKEN of the sidecar says. It is kept for this tab alone.'),
  );
  $('main').before(form);
  field.focus();
});

// Help.

const KEYS = [
  ['1 – ' + names.length, 'the views'],
  ['/', 'search'],
  ['j k or ↓ ↑', 'next and previous in a list'],
  ['Enter', 'open'],
  ['Esc', 'close'],
  ['p', 'pause the list, or go on'],
  ['t', 'theme'],
  ['?', 'this help'],
];

function help() {
  const dialog = el(
    'dialog',
    {'aria-labelledby': 'help-title'},
    el('h2', {id: 'help-title'}, 'What this page is'),
    el('p', 'The sidecar of otlp-tracing, the tracing plugin for Kong, shows here what passes through it on its way to your tracing backend: the last traces, figures by route, how delivery is going, what was redacted, and what other sampling rules would have kept.'),
    el('p', 'It shows what is exported, after redaction, from memory. It changes nothing, keeps nothing on disk, and forgets all of it when the sidecar ends.'),
    el('h3', 'Keys'),
    el('dl.keys', KEYS.map(([key, what]) => [el('dt', el('kbd', key)), el('dd', what)])),
    el('p.hint', store.version ? `otlp-tracing ${store.version} · ` : '', el('a', {href: location.origin + '/metrics'}, '/metrics')),
    el('button.main', {type: 'button', autofocus: true, onclick: () => dialog.close()}, 'Close'),
  );
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  const typing = event.target.closest?.('input, select, textarea');
  if (typing) {
    if (event.key === 'Escape') typing.blur();
    return;
  }
  const number = Number(event.key);
  if (number >= 1 && number <= names.length) location.hash = names[number - 1];
  else if (event.key === '?') help();
  else if (event.key === 't') nextTheme();
  else if (!VIEWS[current][1].key?.(event.key)) return;
  event.preventDefault();
}

put(
  $('nav'),
  names.map((name) => el('a', {href: `#${name}`, 'data-view': name}, VIEWS[name][0])),
);
$('theme').addEventListener('click', nextTheme);
$('help').addEventListener('click', help);
addEventListener('keydown', onKey);
addEventListener('help-wanted', help);
addEventListener('route-wanted', ({detail: {service, route}}) => {
  location.hash = 'traces';
  VIEWS.traces[1].filterRoute(service, route);
});
addEventListener('hashchange', show);
store.addEventListener('traces', showState);
nameTheme();
show();
const retry = follow((name, data) => store.take(name, data), onState);
