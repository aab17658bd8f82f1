// A view of figures that are asked for every two seconds, as long as somebody looks.

import {read} from './api.js';
import {el, put} from './dom.js';

const EVERY_MS = 2000;

export class PolledView {
  #timer = 0;
  #path;
  #isDrawn = false;

  // title and hint stand above; the rest is drawn by draw(data), into this.body.
  constructor(path, name, title, hint) {
    this.#path = path;
    this.note = el('p.hint', hint);
    this.fault = el('p.warning', {role: 'alert', hidden: true});
    this.body = el('div.body');
    this.element = el('section.page', {'aria-labelledby': `${name}-title`}, el('h1', {id: `${name}-title`}, title), this.note, this.fault, this.body);
  }

  enter() {
    clearTimeout(this.#timer);
    this.#load();
  }

  leave() {
    clearTimeout(this.#timer);
  }

  async ask() {
    return read(this.#path);
  }

  async #load() {
    try {
      if (!document.hidden) {
        const data = await this.ask();
        // What somebody is about to press stays where it is; before the first figures there is nothing to keep.
        if (!this.#isDrawn || !this.body.contains(document.activeElement)) this.draw(data);
        this.#isDrawn = true;
      }
      this.fault.hidden = true;
    } catch (error) {
      this.fault.hidden = false;
      put(this.fault, error.status === 404 ? 'This sidecar does not report it.' : error.message);
    }
    clearTimeout(this.#timer);
    if (this.element.isConnected) this.#timer = setTimeout(() => this.#load(), EVERY_MS);
  }
}
