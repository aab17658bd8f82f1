// Makes elements from text. The page never parses HTML: its Content-Security-Policy forbids it.

const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const SHORT = {'\n': '\\n', '\t': '\\t', '\r': '\\r'};

// Shows invisible characters, and those that change the text direction, as escapes.
export const visible = (text) =>
  String(text).replace(UNSEEN, (c) => SHORT[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`);

// el('a.quiet', {href: '#x', onclick: f, vars: {'--at': 1}}, 'text', [child, …]): null and false are left out.
export function el(kind, ...rest) {
  const [tag, ...classes] = kind.split('.');
  return fill(classes.length ? withClass(document.createElement(tag), classes) : document.createElement(tag), rest);
}

export function svg(tag, attributes) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export function put(parent, ...children) {
  parent.replaceChildren(...nodes(children));
  return parent;
}

// Set the children, in this order; children that are there already are not touched and keep the focus.
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.childNodes]) if (!keep.has(child)) child.remove();
  let next = parent.firstChild;
  for (const node of wanted) {
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
}

function withClass(node, classes) {
  node.className = classes.join(' ');
  return node;
}

function fill(node, rest) {
  const isProps = rest[0] && Object.getPrototypeOf(rest[0]) === Object.prototype;
  if (isProps) for (const [name, value] of Object.entries(rest[0])) set(node, name, value);
  node.append(...nodes(isProps ? rest.slice(1) : rest));
  return node;
}

function set(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === 'vars') for (const [key, text] of Object.entries(value)) node.style.setProperty(key, text);
  else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
  else if (name === 'href' && !/^(https?:|#)/.test(value)) throw new Error(`no link: ${value}`);
  else if (name === 'value' || name === 'checked') node[name] = value;
  else node.setAttribute(name, value === true ? '' : name === 'title' ? visible(value) : value);
}

function nodes(children) {
  return children
    .flat(3)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(visible(child))));
}
