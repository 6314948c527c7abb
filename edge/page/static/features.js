// Panels that other parts of the app add to the page, see edge/page/features.py.

import { byId, make } from "./shared.js";
import * as shared from "./shared.js";

/**
 * Adds a panel for each feature that is switched on.
 *
 * The script of a feature exports `mount(section, page)`. `page` has the functions of shared.js, and
 * `onNews(listener)`, which calls the listener with each answer of the app.
 */
export async function addFeatures({ onNews }) {
  const answer = await fetch("/features").catch(() => null);
  if (!answer?.ok) return;
  for (const feature of await answer.json()) {
    const title = make("h2", "", feature.title);
    title.id = `${feature.name}-title`;
    const section = make("section", "card", title);
    section.setAttribute("aria-labelledby", title.id);
    byId("features").append(section);
    const { mount } = await import(feature.script);
    mount(section, { ...shared, onNews });
  }
}
