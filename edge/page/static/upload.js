// A picture that is sent to be named.

import { UNKNOWN, byId, drawTile, percent, words } from "./shared.js";

const LARGEST = 10e6; // bytes, as in edge/page/classify_upload.py

/** Sends each picture that the user chooses. */
export function acceptUploads() {
  byId("file").addEventListener("change", async () => {
    const [file] = byId("file").files;
    if (!file) return;
    const answer = await classify(file).catch(() => "The app does not answer; try again.");
    byId("file").value = ""; // so that the same file can be chosen again
    show(file, answer);
  });
}

/** Returns the answer, or the sentence of an error. */
async function classify(file) {
  if (file.size > LARGEST) return "The picture is larger than 10 MB; make it smaller.";
  byId("upload").hidden = false;
  byId("upload").classList.remove("is-wrong");
  byId("upload-answer").textContent = "Looking …";
  const answer = await fetch("/classify", { method: "POST", body: file });
  return answer.ok ? answer.json() : answer.text();
}

async function show(file, answer) {
  byId("upload").hidden = false;
  byId("upload").classList.toggle("is-wrong", typeof answer === "string");
  if (typeof answer === "string") {
    byId("upload-answer").textContent = answer;
    return;
  }
  byId("upload-answer").textContent = `${words(answer.label)}${details(answer)}`;
  drawTile(byId("upload-tile"), answer.image);
  await drawPreview(file).catch(() => {}); // some formats cannot be shown by every browser
}

function details({ label, top_k, confidence, preparation }) {
  if (!top_k.length) return ` (${preparation.reason})`;
  if (label !== UNKNOWN) return `, ${percent(confidence)}`;
  const likeliest = top_k.slice(0, 2).map((score) => `${score.label} ${percent(score.probability)}`);
  return ` (perhaps ${likeliest.join(" or ")})`;
}

async function drawPreview(file) {
  const canvas = byId("upload-picture");
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  bitmap.close();
}
