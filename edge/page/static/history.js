// The garments that were seen, the newest first.

import { UNKNOWN, byId, drawTile, make, percent, words } from "./shared.js";

const KEPT = 30;
const rows = new Map();

/** Adds an answer to the list, or changes the one with its number. */
export function showHistory(entry) {
  byId("history-empty").hidden = true;
  const began = new Date(1000 * entry.began).toLocaleTimeString();
  let row = rows.get(entry.began);
  if (!row) {
    row = make("li");
    rows.set(entry.began, row);
    byId("history").prepend(row);
    if (rows.size > KEPT) {
      const [oldest] = rows.keys();
      rows.get(oldest).remove();
      rows.delete(oldest);
    }
  }
  const tile = make("canvas", "tile");
  [tile.width, tile.height] = [28, 28];
  tile.setAttribute("aria-hidden", "true");
  drawTile(tile, entry.image);
  const lasted = entry.ended === null ? "now" : seconds(entry.ended - entry.began);
  const share = entry.ended === null || entry.label === UNKNOWN ? "" : percent(entry.confidence);
  row.replaceChildren(
    tile,
    make("div", "", make("b", "", words(entry.label)), make("small", "", `${began} · ${lasted}`)),
    make("span", "share", share),
  );
}

function seconds(length) {
  if (length < 10) return `${length.toFixed(1)} s`;
  if (length < 120) return `${Math.round(length)} s`;
  return `${Math.round(length / 60)} min`;
}
