// The collected pictures: keeps the one in view, and labels or deletes those that are chosen.

const REFRESH_MS = 10000;

export function mount(section, page) {
  const { make } = page;
  const chosen = new Set();
  const shown = new Map(); // what each picture looks like now, by its key
  let total = 0;

  const classes = make("datalist");
  classes.id = "collected-classes";
  const label = make("input");
  label.setAttribute("list", classes.id);
  label.id = "collected-label";
  label.maxLength = 60;
  label.placeholder = "such as Shirt";
  const caption = make("label", "", "Class");
  caption.htmlFor = label.id;
  const summary = make("p", "empty");
  const message = make("p", "collected-message");
  message.setAttribute("role", "status");
  const list = make("ul", "collected-list");

  function button(name, text, action) {
    const made = make("button", "", text);
    made.id = `collected-${name}`;
    made.type = "button";
    made.addEventListener("click", async () => {
      try {
        const sentence = await action();
        if (sentence) message.textContent = sentence;
      } catch (error) {
        message.textContent = error.message;
      }
      await refresh();
    });
    return made;
  }

  async function keep() {
    const { sentence } = await page.post("/collected/keep", { label: label.value.trim() || null });
    return sentence;
  }

  async function relabel() {
    if (!label.value.trim()) return "Write the class first, or choose it from the list.";
    const { changed } = await page.post("/collected/label", {
      keys: [...chosen],
      label: label.value.trim(),
    });
    chosen.clear();
    return `${pictures(changed)} labelled ${label.value.trim()}.`;
  }

  async function acceptAnswers() {
    // One request for each answer of the app that the chosen pictures have.
    const byAnswer = new Map();
    for (const key of chosen) {
      const { answer } = shown.get(key);
      if (answer && answer !== "unknown") byAnswer.set(answer, [...(byAnswer.get(answer) ?? []), key]);
    }
    let number = 0;
    for (const [answer, keys] of byAnswer) {
      number += (await page.post("/collected/label", { keys, label: answer })).changed;
    }
    chosen.clear();
    return `${pictures(number)} labelled as the app had answered.`;
  }

  async function remove() {
    const { deleted } = await page.post("/collected/delete", { keys: [...chosen] });
    chosen.clear();
    return `${pictures(deleted)} deleted.`;
  }

  async function removeAll() {
    if (!confirm(`Delete all ${total} pictures from the device?`)) return "";
    const { deleted } = await page.post("/collected/delete", { all: true });
    chosen.clear();
    return `${pictures(deleted)} deleted.`;
  }

  function chooseUnlabelled() {
    const open = [...shown.entries()].filter(([, one]) => one.label === null);
    const areChosen = open.length && open.every(([key]) => chosen.has(key));
    for (const [key] of open) areChosen ? chosen.delete(key) : chosen.add(key);
  }

  const onChosen = [
    button("relabel", "Label chosen", relabel),
    button("accept", "Accept answers", acceptAnswers),
    button("delete", "Delete chosen", remove),
  ];
  const deleteAll = button("delete-all", "Delete all", removeAll);

  function showChoice() {
    for (const one of onChosen) one.disabled = chosen.size === 0;
    deleteAll.disabled = total === 0;
  }

  function item(picture) {
    const box = make("input");
    box.type = "checkbox";
    box.checked = chosen.has(picture.key);
    box.addEventListener("change", () => {
      box.checked ? chosen.add(picture.key) : chosen.delete(picture.key);
      showChoice();
    });
    const image = make("img");
    image.src = `/collected/picture?key=${picture.key}`;
    image.loading = "lazy";
    image.alt = "";
    const answer = picture.answer ?? "no answer";
    const words = picture.label ?? `${answer}?`;
    const isNamed = picture.label === null && picture.answer !== page.UNKNOWN && picture.confidence;
    const share = isNamed ? page.percent(picture.confidence) : "";
    const details = [share, picture.held_out ? "held out" : ""].filter(Boolean).join(", ");
    const taken = new Date(1000 * picture.time).toLocaleString();
    const name = make("label", "", box, image, make("b", "", words), make("small", "", details));
    name.title = `${taken}; the app answered ${answer}`;
    return make("li", picture.label === null ? "is-open" : "", name);
  }

  async function refresh() {
    const answer = await fetch("/collected").catch(() => null);
    if (!answer?.ok) return;
    const found = await answer.json();
    total = found.count;
    const before = JSON.stringify([...shown.values()]);
    shown.clear();
    for (const picture of found.pictures) shown.set(picture.key, picture);
    for (const key of chosen) if (!shown.has(key)) chosen.delete(key);
    classes.replaceChildren(
      ...found.labels.map((one) => Object.assign(make("option"), { value: one })),
    );
    const megabytes = (found.bytes / 1e6).toFixed(1);
    const newest = total > shown.size ? ` The newest ${shown.size} are shown.` : "";
    summary.textContent = total
      ? `${pictures(total)}, ${megabytes} MB, on the device.${newest} A question mark stands after the app's own answer.`
      : "Pictures of which the app is not sure are kept on the device. Nothing was kept yet.";
    if (before !== JSON.stringify(found.pictures)) list.replaceChildren(...found.pictures.map(item));
    else for (const box of list.querySelectorAll("input")) box.checked = false;
    for (const [i, key] of [...shown.keys()].entries()) {
      list.children[i].querySelector("input").checked = chosen.has(key);
    }
    showChoice();
  }

  section.append(
    summary,
    make("p", "collected-class", caption, label, classes, button("keep", "Keep this view", keep)),
    make("p", "collected-actions", button("choose", "Choose unlabelled", chooseUnlabelled), ...onChosen, deleteAll),
    message,
    list,
  );
  refresh();
  setInterval(() => document.hidden || refresh(), REFRESH_MS);
}

const pictures = (number) => (number === 1 ? "1 picture" : `${number} pictures`);
