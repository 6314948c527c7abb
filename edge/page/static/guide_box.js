// The guide box over the picture: it is moved and resized by pointer or arrow keys while it is being edited.

import { byId } from "./shared.js";

const DEFAULT_BOX = [0.2, 0.1, 0.6, 0.8]; // x, y, width and height in shares of the picture
const SMALLEST = 0.1; // share of the picture
const STEP = 0.02; // share of the picture for a press of an arrow key
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const within = (value, low, high) => Math.min(Math.max(value, low), high);
const rounded = (value) => Math.round(value * 1000) / 1000;

export class GuideBox {
  #box = DEFAULT_BOX;
  #drag = null;
  #later = 0;
  #onChange;

  /** Calls `onChange` with the new box after the user has changed it. */
  constructor(onChange) {
    this.#onChange = onChange;
    byId("edit-guide").addEventListener("click", () => this.#edit(byId("guide-move").hidden));
    byId("reset-guide").addEventListener("click", () => this.#changeTo(DEFAULT_BOX));
    this.#listen(byId("guide-move"), (box, dx, dy) => [
      within(box[0] + dx, 0, 1 - box[2]), within(box[1] + dy, 0, 1 - box[3]), box[2], box[3],
    ]);
    this.#listen(byId("guide-size"), (box, dx, dy) => [
      box[0], box[1], within(box[2] + dx, SMALLEST, 1 - box[0]), within(box[3] + dy, SMALLEST, 1 - box[1]),
    ]);
    this.#draw();
  }

  /** Shows the box that the app has, unless the user is changing it. */
  show(box) {
    if (this.#drag || this.#later) return;
    this.#box = box;
    this.#draw();
  }

  #edit(isEdited) {
    byId("edit-guide").setAttribute("aria-pressed", String(isEdited));
    for (const id of ["guide-move", "guide-size", "reset-guide", "guide-hint"]) byId(id).hidden = !isEdited;
    if (isEdited) byId("guide-move").focus();
  }

  #listen(handle, changed) {
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      this.#drag = { x: event.clientX, y: event.clientY, box: this.#box };
    });
    handle.addEventListener("pointermove", (event) => {
      if (!this.#drag) return;
      const { width, height } = byId("picture").getBoundingClientRect();
      const [dx, dy] = [(event.clientX - this.#drag.x) / width, (event.clientY - this.#drag.y) / height];
      this.#box = changed(this.#drag.box, dx, dy).map(rounded);
      this.#draw();
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      handle.addEventListener(kind, () => {
        if (!this.#drag) return;
        this.#drag = null;
        this.#changeTo(this.#box);
      });
    }
    handle.addEventListener("keydown", (event) => {
      const direction = KEYS[event.key];
      if (!direction) return;
      event.preventDefault();
      this.#changeTo(changed(this.#box, STEP * direction[0], STEP * direction[1]).map(rounded));
    });
  }

  /** Shows the box at once, and tells the app when the keys rest. */
  #changeTo(box) {
    this.#box = box;
    this.#draw();
    clearTimeout(this.#later);
    this.#later = setTimeout(async () => {
      await this.#onChange(this.#box);
      this.#later = 0;
    }, 200);
  }

  #draw() {
    const [x, y, width, height] = this.#box.map((share) => `${100 * share}%`);
    Object.assign(byId("guide").style, { left: x, top: y, width, height });
  }
}
