// Pictures from a description.

import { Watch, call, callFacts, factsOf, money } from "./calls.js";
import { byId, download, element } from "./parts.js";
import { fillSelect, given, model, required, runTask, wholeNumber } from "./task.js";

const MEDIA_TYPES = { iVBOR: "image/png", "/9j/": "image/jpeg", UklGR: "image/webp" };

function prepare() {
  const chosen = model();
  const body = given({
    model: chosen.name,
    prompt: required("prompt", "Describe what you want to see."),
    n: wholeNumber("n"),
    size: byId("size").value,
    steps: chosen.max_steps ? wholeNumber("steps") : undefined,
    seed: wholeNumber("seed"),
    negative_prompt: chosen.negative_prompt ? byId("negative_prompt").value.trim() : undefined,
  });
  return { endpoint: "images/generations", body };
}

async function run({ endpoint, body }, signal) {
  const watch = new Watch();
  const response = await call(endpoint, body, { signal });
  const { data, usage } = await response.json();
  const facts = { ...callFacts(response), ...money(usage, response.headers), total: watch.total };
  return element(
    "article",
    { "aria-label": body.prompt },
    element("p", { class: "result-head" }, element("strong", {}, body.prompt)),
    element("ul", { class: "gallery" }, data.map((picture, position) => shown(picture, body.prompt, position + 1))),
    factsOf(facts),
  );
}

function shown(picture, prompt, number) {
  const kind = Object.entries(MEDIA_TYPES).find(([start]) => picture.b64_json.startsWith(start))?.[1] ?? "image/png";
  const url = `data:${kind};base64,${picture.b64_json}`;
  const save = download(url, `picture-${number}.${kind.split("/")[1]}`, "Download");
  save.setAttribute("aria-label", `Download picture ${number}`);
  return element("li", {}, element("img", { src: url, alt: `${prompt} (${number})` }), save);
}

function showModel() {
  const chosen = model();
  fillSelect("size", chosen.sizes, chosen.sizes.includes(byId("size").value) ? byId("size").value : chosen.size);
  byId("steps-row").hidden = !chosen.max_steps;
  byId("steps").max = chosen.max_steps ?? "";
  byId("steps").placeholder = chosen.steps;
  byId("negative-row").hidden = !chosen.negative_prompt;
}

runTask({ prepare, run, busy: "Making …", showModel });
