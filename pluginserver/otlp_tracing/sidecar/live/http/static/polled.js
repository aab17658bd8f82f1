// A view of figures that are fetched every two seconds while the page is visible.

import {read} from './api.js';
import {el, put} from './dom.js';

const EVERY_MS = 2000;

export class PolledView {
  #timer = 0;
  #path;
  #isDrawn = false;

  // The title and the hint are above; draw(data) fills this.body.
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
        // Do not redraw while an element in the view has the focus; the first figures are always drawn.
        if (!this.#isDrawn || !this.body.contains(document.activeElement)) this.draw(data);
        this.#isDrawn = true;
      }
      this.fault.hidden = true;
    } catch (error) {
      this.fault.hidden = false;
      put(this.fault, error.status === 404 ? 'This sidecar has no such report.' : error.message);
    }
    clearTimeout(this.#timer);
    if (this.element.isConnected) this.#timer = setTimeout(() => this.#load(), EVERY_MS);
  }
}
