// How long each stage of a frame takes.

import { byId, make } from "./shared.js";

const NAMES = {
  capture: "waiting",
  segment: "finding",
  prepare: "preparing",
  infer: "naming",
};

/** Shows the milliseconds of each stage; the bar leaves out the time of waiting for the camera. */
export function showTiming(latencyMs, framesPerSecond) {
  const work = Object.entries(latencyMs).filter(([stage]) => stage !== "capture");
  byId("stages").replaceChildren(
    ...work.map(([, ms]) => {
      const part = make("i");
      part.style.flexGrow = ms;
      return part;
    }),
  );
  const rows = Object.entries(latencyMs).map(([stage, ms]) => [NAMES[stage] ?? stage, `${ms.toFixed(1)} ms`]);
  rows.push(["frames", `${framesPerSecond.toFixed(1)} /s`]);
  byId("timing").replaceChildren(
    ...rows.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))),
  );
}
