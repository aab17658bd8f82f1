// The frame: views and their keys, connection state, help, token.

import {follow, setToken} from './api.js';
import {el, put} from './dom.js';
import {rate, share} from './format.js';
import {Store} from './store.js';
import {TracesView} from './traces.js';
import {RoutesView} from './routes.js';
import {DeliveryView} from './delivery.js';
import {RedactionView} from './redaction.js';
import {LogView} from './log.js';
import {TrialView} from './trial.js';

const $ = (id) => document.getElementById(id);
const store = new Store();
const VIEWS = {
  traces: ['Traces', new TracesView(store)],
  routes: ['Routes', new RoutesView()],
  delivery: ['Delivery', new DeliveryView()],
  redaction: ['Redaction', new RedactionView()],
  log: ['Log', new LogView()],
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

// The theme: automatic, light or dark.

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
    `${failure?.message ?? 'The event stream ended.'} The page shows older data; reconnecting`,
    wait > 1500 ? ` in ${Math.round(wait / 1000)} s. ` : '. ',
    el('button', {type: 'button', onclick: () => retry()}, 'Reconnect now'),
  );
}

addEventListener('token-needed', (event) => {
  if ($('token')) {
    put($('token-fault'), event.detail ? 'This token is wrong.' : '');
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
    el('label', {for: 'token-field'}, 'This page needs its token'),
    el('div.row', field, el('button.main', {type: 'submit'}, 'Open')),
    el('p.fault', {id: 'token-fault', role: 'alert'}, event.detail ? 'This token is wrong.' : ''),
    el('p.hint', 'The token is set by --page-token-file or OTLP_TRACING_PAGE_TOKEN of the sidecar. The browser keeps it for this tab only.'),
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
  ['p', 'pause or resume the list'],
  ['t', 'theme'],
  ['?', 'this help'],
];

function help() {
  const dialog = el(
    'dialog',
    {'aria-labelledby': 'help-title'},
    el('h2', {id: 'help-title'}, 'About this page'),
    el('p', 'This page belongs to the sidecar of otlp-tracing, the tracing plugin for Kong. It shows the recent traces, figures by route, the state of delivery, the redaction report, and the effect of other sampling rules.'),
    el('p', 'The data is the exported data, after redaction. The page is read only. Its data is in memory, and is lost when the sidecar stops.'),
    el('h3', 'Keys'),
    el('dl.keys', KEYS.map(([key, action]) => [el('dt', el('kbd', key)), el('dd', action)])),
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
