// Formats numbers for people.

export function duration(ms) {
  if (ms >= 9999.5) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 999.5) return `${(ms / 1000).toFixed(2)} s`;
  if (ms >= 9.95) return `${Math.round(ms)} ms`;
  if (ms >= 0.95) return `${ms.toFixed(1).replace('.0', '')} ms`;
  return ms > 0 ? `${Math.round(ms * 1000)} µs` : '0 ms';
}

export function rate(perSecond) {
  if (perSecond >= 99.5) return count(Math.round(perSecond));
  if (perSecond >= 9.95) return perSecond.toFixed(0);
  return perSecond >= 0.995 ? perSecond.toFixed(1) : perSecond > 0 ? perSecond.toFixed(2) : '0';
}

export const count = (number) => Math.round(number).toLocaleString('en');

export const many = (number, noun) => `${count(number)} ${noun}${number === 1 ? '' : 's'}`;

export function share(part, whole) {
  if (!whole) return '–';
  const percent = (100 * part) / whole;
  if (percent === 0 || percent === 100) return `${percent} %`;
  if (percent < 0.1) return '< 0.1 %';
  return percent > 99.9 ? '> 99.9 %' : `${percent < 10 ? percent.toFixed(1).replace('.0', '') : Math.round(percent)} %`;
}

export function bytes(number) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  for (; number >= 999.5 && unit < units.length - 1; unit++) number /= 1000;
  return `${number >= 99.5 || unit === 0 ? Math.round(number) : number.toPrecision(2)} ${units[unit]}`;
}

const two = (number) => String(number).padStart(2, '0');

export function clock(ms) {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export const clockMs = (ms) => `${clock(ms)}.${String(Math.floor(ms) % 1000).padStart(3, '0')}`;

export const period = (seconds) =>
  seconds < 90 ? many(Math.max(1, Math.round(seconds)), 'second') : many(Math.round(seconds / 60), 'minute');

export const statusClass = (status) => (status >= 500 ? 'bad' : status >= 400 ? 'odd' : 'fine');

export const routeName = (service, route) => route || service || 'no route';

const REASONS = {parent: 'caller'};

// The short form of a reason: rate, rule, error, …
export const whyKept = (reason) => REASONS[reason] ?? (reason || '–');
