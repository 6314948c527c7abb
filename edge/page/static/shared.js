// What several parts of the page use.

/** The label of a garment that is not recognized surely enough. A percentage beside it would be that of a class. */
export const UNKNOWN = "unknown";

/** Finds an element by its id. */
export const byId = (id) => document.getElementById(id);

/** Makes an element with a class and a text or children. */
export function make(name, className = "", ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Writes a share in [0, 1] as a percentage. */
export const percent = (share) => `${Math.round(100 * share)}%`;

/** Sends a JSON document and returns the answer; throws an Error with a sentence for the user. */
export async function post(path, document) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(document),
  }).catch(() => {
    throw new Error("The app does not answer; try again.");
  });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

/** Draws the 784 bytes of a 28x28 image, which come in base64; null leaves the canvas empty. */
export function drawTile(canvas, image) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, 28, 28);
  if (!image) return;
  const pixels = new Uint8ClampedArray(28 * 28 * 4);
  const bytes = atob(image);
  for (let i = 0; i < 28 * 28; i++) {
    const grey = bytes.charCodeAt(i);
    pixels.set([grey, grey, grey, 255], 4 * i);
  }
  context.putImageData(new ImageData(pixels, 28, 28), 0, 0);
}

/** Writes a label as the beginning of a sentence; null stands for no verdict. */
export const words = (label) => (label === null ? "No verdict" : label[0].toUpperCase() + label.slice(1));

/** Lets screen readers speak a sentence. */
export function say(sentence) {
  byId("spoken").textContent = sentence;
}
