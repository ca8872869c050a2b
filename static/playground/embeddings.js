// Embeddings of some texts, and how near they are to each other.

import { FieldError, Watch, call, callFacts, factsOf, money } from "./calls.js";
import { byId, element, whole } from "./parts.js";
import { model, runTask } from "./task.js";

const SVG = "http://www.w3.org/2000/svg";

function prepare() {
  const texts = byId("texts").value.split("\n").map((line) => line.trim()).filter((line) => line);
  if (texts.length < 2 || texts.length > 20) {
    throw new FieldError(byId("texts"), "Use 2 to 20 texts, one on each line.");
  }
  return { endpoint: "embeddings", body: { model: model().name, input: texts } };
}

async function run({ endpoint, body }, signal) {
  const watch = new Watch();
  const response = await call(endpoint, body, { signal });
  const { data, usage } = await response.json();
  const vectors = data.map((item) => item.embedding);
  const facts = { ...callFacts(response), ...money(usage, response.headers), total: watch.total };
  return element(
    "article",
    { "aria-label": "Similarities" },
    table(body.input, vectors),
    factsOf(facts, [["Tokens", whole(usage.prompt_tokens)], ["Dimensions", whole(vectors[0].length)]]),
  );
}

// The cosine: 1 for the same direction.
function similarity(one, other) {
  let product = 0;
  let ones = 0;
  let others = 0;
  for (let at = 0; at < one.length; at += 1) {
    product += one[at] * other[at];
    ones += one[at] ** 2;
    others += other[at] ** 2;
  }
  return product / Math.sqrt(ones * others);
}

function table(texts, vectors) {
  const head = element("tr", {}, element("th", { scope: "col" }, "Text"), texts.map((text, position) => element("th", { scope: "col", class: "number", title: text }, String(position + 1))));
  const rows = texts.map((text, row) =>
    element("tr", {}, element("th", { scope: "row", title: text }, `${row + 1} ${text}`), vectors.map((vector) => cell(similarity(vectors[row], vector)))),
  );
  return element(
    "div",
    { class: "scroll", role: "region", tabindex: "0", "aria-label": "Similarity of each text to each other" },
    element("table", { class: "similarity" }, element("thead", {}, head), element("tbody", {}, rows)),
  );
}

function cell(value) {
  const bar = document.createElementNS(SVG, "svg");
  bar.setAttribute("class", "heat");
  bar.setAttribute("viewBox", "0 0 100 8");
  bar.setAttribute("preserveAspectRatio", "none");
  bar.setAttribute("aria-hidden", "true");
  for (const [name, width] of [["bar-rail", 100], ["bar-fill", Math.max(0, value) * 100]]) {
    const part = document.createElementNS(SVG, "rect");
    part.setAttribute("class", name);
    part.setAttribute("width", width.toFixed(1));
    part.setAttribute("height", "8");
    bar.append(part);
  }
  return element("td", {}, value.toFixed(3), bar);
}

runTask({ prepare, run, busy: "Comparing …" });
