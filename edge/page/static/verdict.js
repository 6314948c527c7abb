// The verdict: label, bars of the most probable classes, and the 28x28 image of the network.

import { UNKNOWN, byId, drawTile, make, percent, say, words } from "./shared.js";

const SPOKEN_AFTER_MS = 1000; // a label that changes again within this time is not spoken
const NO_GARMENT = "no garment";
const MARKS = { named: "✓", unsure: "?", nothing: "–" };

let spoken = "";
let later = 0;

/** Shows an answer, or that there is none at the moment. */
export function showVerdict(news) {
  const { label } = news;
  const kind = label === null || label === NO_GARMENT ? "nothing" : label === UNKNOWN ? "unsure" : "named";
  byId("verdict").dataset.kind = kind;
  byId("mark").textContent = MARKS[kind];
  byId("label").textContent = words(label);
  const scores = news.top_k ?? [];
  const share = scores.find((score) => score.label === label)?.probability ?? news.confidence;
  byId("percent").textContent = kind === "named" ? percent(share) : "";
  const reason = reasonOf(news, kind);
  byId("reason").textContent = reason;
  byId("reason").hidden = !reason;
  drawTile(byId("tile"), news.image);
  byId("tile-caption").textContent = news.image ? "Network sees" : "Nothing to see";
  document.title = `${words(label)} – garmentlite`;
  showBars(scores, label);
  if (label !== spoken) {
    spoken = label;
    clearTimeout(later);
    if (label !== null) later = setTimeout(() => say(words(label)), SPOKEN_AFTER_MS);
  }
}

function reasonOf(news, kind) {
  if (kind === "unsure") return "The network is not sure enough to name it.";
  if (news.label === NO_GARMENT) return `Hold a garment in the box (${news.preparation.reason}).`;
  return "";
}

function showBars(scores, label) {
  const bars = byId("bars");
  while (bars.children.length > scores.length) bars.lastChild.remove();
  while (bars.children.length < scores.length) {
    const track = make("span", "track", make("i"));
    track.setAttribute("aria-hidden", "true");
    bars.append(make("li", "", make("span", "name"), make("span", "share"), track));
  }
  scores.forEach((score, rank) => {
    const row = bars.children[rank];
    row.classList.toggle("is-named", score.label === label);
    row.querySelector(".name").textContent = score.label;
    row.querySelector(".share").textContent = percent(score.probability);
    row.querySelector(".track i").style.transform = `scaleX(${score.probability})`;
  });
}
