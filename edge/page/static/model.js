// Which model answers, whether it is better than the previous one, and the way back.

const REFRESH_MS = 5000;

export function mount(section, page) {
  const { make } = page;
  const name = make("p", "");
  name.id = "model-name";
  const verdict = make("p", "empty");
  verdict.setAttribute("role", "status");
  const table = make("table", "recalls");
  const back = make("button", "", "Go back to the previous model");
  back.id = "model-back";
  back.type = "button";
  back.addEventListener("click", async () => {
    back.disabled = true;
    try {
      show(await page.post("/model/back", {}));
    } catch (error) {
      verdict.textContent = error.message;
    }
  });

  function show(state) {
    name.textContent = `${state.name} (${state.sha256.slice(0, 12)})`;
    back.disabled = !state.has_previous;
    const comparison = state.comparison;
    verdict.textContent = comparison?.obstacle || (comparison ? `Compared with the previous model: ${comparison.verdict}` : "");
    const rows = (comparison?.classes ?? []).filter((row) => row.support > 0);
    table.hidden = rows.length === 0;
    const head = make("tr", "", ...["Class", "Pictures", "Before", "Now", ""].map((text) => make("th", "", text)));
    for (const one of head.children) one.scope = "col";
    table.replaceChildren(
      make("caption", "", "Recall on held-out pictures"),
      head,
      ...rows.map((row) =>
        make(
          "tr",
          "",
          make("td", "", row.label),
          make("td", "", String(row.support)),
          make("td", "", page.percent(row.recall_old)),
          make("td", "", page.percent(row.recall_new)),
          make("td", "", row.verdict),
        ),
      ),
    );
  }

  async function refresh() {
    const answer = await fetch("/model").catch(() => null);
    if (answer?.ok) show(await answer.json());
  }

  section.append(name, verdict, table, back);
  refresh();
  setInterval(() => document.hidden || refresh(), REFRESH_MS);
}
