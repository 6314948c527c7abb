// Puts the page together: connects to the app and hands each answer to the parts of the page.

import { addFeatures } from "./features.js";
import { GuideBox } from "./guide_box.js";
import { showHistory } from "./history.js";
import { watchPicture } from "./live_picture.js";
import { byId, post, say } from "./shared.js";
import { showTiming } from "./timing.js";
import { acceptUploads } from "./upload.js";
import { showVerdict } from "./verdict.js";

const STATUS_WORDS = {
  opening: "Opening the camera",
  settling: "Camera is settling",
  paused: "Paused",
  black: "Picture is black",
  frozen: "Picture is frozen",
  lost: "Camera lost",
};

const guideBox = new GuideBox((box) => change({ box }));
const picture = watchPicture(byId("picture"));
let events = null;
let settings = null;
const listeners = [];

/** Shows in one line at the top, and over the picture, what the camera does. */
function showState(status, text, message) {
  if (message && message !== byId("message").textContent) say(message);
  byId("state").dataset.status = status;
  byId("state-text").textContent = text;
  byId("message").textContent = message;
  byId("message").hidden = !message;
  byId("stage").classList.toggle("is-old", Boolean(message));
}

function showSettings(now) {
  settings = now;
  for (const [id, isOn] of [["pause", now.paused], ["mirror", now.mirrored]]) {
    byId(id).setAttribute("aria-pressed", String(isOn));
  }
  guideBox.show(now.box);
}

/** Changes settings of the app, such as {paused: true}. */
async function change(changes) {
  try {
    showSettings(await post("/controls", changes));
    byId("refusal").textContent = "";
  } catch (error) {
    byId("refusal").textContent = error.message;
  }
}

function showNews(news) {
  showSettings(news.settings);
  const status = news.camera?.status ?? "ok";
  if (news.label === null) {
    const words = STATUS_WORDS[status] ?? "Waiting for a picture";
    showState(status === "ok" ? "waiting" : status, words, news.camera?.message || words);
  } else {
    showState("ok", `Live · ${news.frames_per_second.toFixed(0)} frames/s`, "");
    showTiming(news.latency_ms, news.frames_per_second);
  }
  showVerdict(news);
  for (const listener of listeners) listener(news);
}

function connect() {
  events = new EventSource("/events?live=1");
  events.addEventListener("open", () => picture.restart());
  events.addEventListener("verdict", (event) => showNews(JSON.parse(event.data)));
  events.addEventListener("history", (event) => showHistory(JSON.parse(event.data)));
  events.addEventListener("error", lostConnection);
}

async function lostConnection() {
  let message = "The app does not answer. It may have been stopped; the page tries again by itself.";
  const answer = await fetch("/verdict").catch(() => null);
  if (answer?.ok) return; // the connection is there again
  if (answer) message = await answer.text();
  showState("lost", "Not connected", message);
  if (events?.readyState === EventSource.CLOSED) {
    events.close();
    events = null;
    setTimeout(() => document.hidden || events || connect(), 3000);
  }
}

// A page that nobody sees costs the app nothing.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    events?.close();
    events = null;
  } else if (!events) {
    connect();
  }
});

byId("pause").addEventListener("click", () => change({ paused: !settings?.paused }));
byId("mirror").addEventListener("click", () => change({ mirrored: !settings?.mirrored }));
acceptUploads();
addFeatures({ onNews: (listener) => listeners.push(listener) });
connect();
