// The chat: a conversation in this tab, sent whole with every call, as the API takes it.

import { CallError, FieldError, Watch, call, callFacts, clearFaults, events, factsOf, faultAt, markField, money, notice } from "./calls.js";
import { rendered } from "./markdown.js";
import { byId, element, readAsDataUrl, readJson, say, whole } from "./parts.js";
import { offerCode } from "./programs.js";

const models = new Map(readJson("models").map((model) => [model.name, model]));
const settings = byId("settings");
const KEPT = `playground:${byId("playground").dataset.slug}:chat`;
const FIELDS = ["system", "temperature", "top_p", "max_tokens", "seed", "stop_at", "format", "schema", "effort", "tools"];
const MAX_PICTURE_BYTES = 15 * 1024 * 1024;
const EXAMPLE = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather in a city now.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

// Messages as the API has them, and beside them what only the page knows: facts, note.
let messages = [];
let pictures = [];
let running = null;
let editing = null;

// --- Keeping ------------------------------------------------------------------------

function keep() {
  const fields = Object.fromEntries(FIELDS.map((name) => [name, byId(name).value]));
  const kept = { messages, fields, model: byId("model").value, draft: byId("say").value };
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
  } catch {
    // Pictures are larger than what a tab may keep: the words are kept without them.
    const bare = messages.map((message) => ({ ...message, pictures: undefined }));
    try {
      sessionStorage.setItem(KEPT, JSON.stringify({ ...kept, messages: bare }));
    } catch {
      sessionStorage.removeItem(KEPT);
    }
  }
}

function restore() {
  let kept;
  try {
    kept = JSON.parse(sessionStorage.getItem(KEPT));
  } catch {
    kept = null;
  }
  if (!kept) {
    return;
  }
  messages = kept.messages ?? [];
  for (const name of FIELDS) {
    byId(name).value = kept.fields?.[name] ?? "";
  }
  if (!byId("model").dataset.asked && models.has(kept.model)) {
    byId("model").value = kept.model;
  }
  byId("say").value = kept.draft ?? "";
}

// --- The body -----------------------------------------------------------------------

function number(name, { isWhole = false } = {}) {
  const field = byId(name);
  const text = field.value.trim();
  if (field.validity.badInput) {
    throw new FieldError(field, "This is no number.");
  }
  if (!text) {
    return undefined;
  }
  const value = Number(text);
  const { min, max } = field;
  if ((min && value < Number(min)) || (max && value > Number(max)) || (isWhole && !Number.isSafeInteger(value))) {
    const bounds = max ? ` from ${min} to ${max}` : min ? ` from ${min}` : "";
    throw new FieldError(field, `Use a ${isWhole ? "whole number" : "number"}${bounds}.`);
  }
  return value;
}

function json(name, what) {
  const field = byId(name);
  try {
    return JSON.parse(field.value);
  } catch (error) {
    throw new FieldError(field, `${what} must be JSON: ${error.message}`);
  }
}

function responseFormat() {
  const type = byId("format").value;
  if (!type) {
    return undefined;
  }
  return type === "json_schema" ? { type, json_schema: { name: "answer", schema: json("schema", "A schema") } } : { type };
}

function tools(model) {
  if (!model.tools || !byId("tools").value.trim()) {
    return undefined;
  }
  const made = json("tools", "Tools");
  if (!Array.isArray(made)) {
    throw new FieldError(byId("tools"), "Tools are a JSON array: [ … ].");
  }
  return made;
}

function asApi(message) {
  if (message.role === "user" && message.pictures?.length) {
    const images = message.pictures.map((picture) => ({ type: "image_url", image_url: { url: picture.url } }));
    return { role: "user", content: [...(message.content ? [{ type: "text", text: message.content }] : []), ...images] };
  }
  if (message.role === "assistant") {
    const calls = message.tool_calls?.length ? { tool_calls: message.tool_calls } : {};
    return { role: "assistant", content: message.content || (message.tool_calls?.length ? null : ""), ...calls };
  }
  if (message.role === "tool") {
    return { role: "tool", tool_call_id: message.tool_call_id, content: message.content };
  }
  return { role: message.role, content: message.content };
}

// Throws FieldError for what cannot be sent.
function bodyOf(conversation) {
  const model = models.get(byId("model").value);
  const system = byId("system").value.trim();
  const stops = byId("stop_at").value.split("\n").filter((line) => line);
  if (stops.length > 4) {
    throw new FieldError(byId("stop_at"), "There may be up to 4.");
  }
  const body = {
    model: model.name,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...conversation.map(asApi)],
    stream: true,
    stream_options: { include_usage: true },
    temperature: number("temperature"),
    top_p: number("top_p"),
    max_tokens: number("max_tokens", { isWhole: true }),
    seed: number("seed", { isWhole: true }),
    stop: stops.length ? stops : undefined,
    response_format: responseFormat(),
    reasoning_effort: (model.reasoning && byId("effort").value) || undefined,
    tools: tools(model),
  };
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
}

// --- Calling ------------------------------------------------------------------------

async function answer() {
  clearFaults(document);
  byId("trouble").replaceChildren();
  let body;
  try {
    body = bodyOf(messages);
  } catch (error) {
    return troubled(error);
  }
  const abort = new AbortController();
  const message = { role: "assistant", content: "", reasoning: "", tool_calls: [] };
  const watch = new Watch();
  running = { abort, message };
  show();
  byId("composer").scrollIntoView({ block: "nearest" });
  say("The model is answering.");
  let response;
  let finish = "";
  let usage = null;
  try {
    response = await call("chat/completions", body, { signal: abort.signal });
    for await (const event of events(response)) {
      usage = event.usage ?? usage;
      const choice = event.choices?.[0];
      if (choice) {
        finish = choice.finish_reason ?? finish;
        if (add(message, choice.delta ?? {})) {
          watch.noteFirst();
        }
        draw(message);
      }
    }
    message.note = noteOf(finish, message, usage);
    say("The answer is complete.");
  } catch (error) {
    message.note = error.name === "AbortError" ? "Stopped. What had come until then is charged." : "The answer broke off here.";
    if (error.name !== "AbortError") {
      troubled(error);
    } else {
      say("Stopped.");
    }
  } finally {
    running = null;
  }
  if (response) {
    message.facts = { ...callFacts(response), ...(usage ? money(usage, response.headers) : {}), first: watch.first, total: watch.total, usage };
  }
  message.tool_calls = message.tool_calls.filter((each) => each);
  if (message.content || message.reasoning || message.tool_calls.length || (usage && !message.note?.startsWith("The answer broke"))) {
    messages.push(message);
  }
  keep();
  show();
}

function noteOf(finish, message, usage) {
  if (!usage && !finish) {
    return "The answer broke off here.";
  }
  if (finish === "length") {
    return "Cut off at the limit of tokens. Raise “Max tokens” for more.";
  }
  if (finish === "content_filter") {
    return "Cut off by the provider’s filter.";
  }
  return message.content || message.tool_calls.length || message.reasoning ? "" : "Nothing came back, and nothing was charged.";
}

// Returns whether anything came.
function add(message, delta) {
  message.content += delta.content ?? delta.refusal ?? "";
  message.reasoning += delta.reasoning_content ?? "";
  for (const part of delta.tool_calls ?? []) {
    const known = (message.tool_calls[part.index] ??= { id: part.id, type: "function", function: { name: "", arguments: "" } });
    known.id = part.id ?? known.id;
    known.function.name += part.function?.name ?? "";
    known.function.arguments += part.function?.arguments ?? "";
  }
  return Boolean(delta.content || delta.refusal || delta.reasoning_content || delta.tool_calls?.length);
}

function troubled(error) {
  if (error instanceof FieldError) {
    faultAt(error.control, error.message);
    say(error.message);
    return;
  }
  const told = error instanceof CallError ? error : new CallError({ message: `This page made a mistake: ${error.message}`, code: "page_error" });
  byId("trouble").replaceChildren(notice(told, () => answer()));
  if (!told.param.startsWith("messages")) {
    markField(settings, told);
  }
}

function send() {
  if (running) {
    return;
  }
  const field = byId("say");
  const text = field.value.trim();
  clearFaults(document);
  if (!text && !pictures.length) {
    // An answer may be missing after a stop, an edit or a failure.
    if (["user", "tool"].includes(messages.at(-1)?.role)) {
      answer();
    } else {
      faultAt(field, "Write something first.");
    }
    return;
  }
  if (models.get(byId("model").value).needs_image && !pictures.length && !messages.some((each) => each.pictures?.length)) {
    faultAt(field, "This model describes pictures: add one.");
    return;
  }
  if (openCalls().length) {
    faultAt(field, "The model waits for the results of its calls: send those first.");
    return;
  }
  messages.push({ role: "user", content: text, pictures });
  pictures = [];
  field.value = "";
  keep();
  answer();
}

// Calls of the newest answer that have no result yet.
function openCalls() {
  const last = messages.findLastIndex((message) => message.role === "assistant");
  const done = new Set(messages.slice(last + 1).map((message) => message.tool_call_id));
  return last < 0 ? [] : (messages[last].tool_calls ?? []).filter((each) => !done.has(each.id));
}

// --- Showing ------------------------------------------------------------------------

const ROLES = { user: "You", assistant: "Assistant", tool: "Result" };

function show() {
  const shown = running ? [...messages, running.message] : messages;
  byId("talk").replaceChildren(...shown.map((message, position) => item(message, position)));
  byId("messages-empty").hidden = shown.length > 0;
  byId("clear").disabled = Boolean(running) || !messages.length;
  byId("send").hidden = Boolean(running);
  byId("stop").hidden = !running;
  byId("talk").setAttribute("aria-busy", String(Boolean(running)));
  showPictures();
  if (running) {
    draw(running.message);
  }
}

function item(message, position) {
  if (editing === position) {
    return element("li", { class: "message" }, editor(message, position));
  }
  const isOpen = running?.message === message;
  const made = element(
    "li",
    { class: `message message-${message.role}` },
    element("div", { class: "message-head" }, element("h3", { class: "message-role" }, roleOf(message)), isOpen || running ? null : actions(message, position)),
  );
  const body = element("div", { class: "message-body" });
  if (isOpen) {
    body.id = "writing";
  } else {
    fill(body, message);
  }
  made.append(body);
  if (message.pictures?.length) {
    made.append(element("ul", { class: "pictures" }, message.pictures.map((picture) => element("li", {}, image(picture)))));
  }
  if (!isOpen && message.role === "assistant" && position === messages.length - 1 && openCalls().length) {
    made.append(results());
  }
  if (message.note) {
    made.append(element("p", { class: "answer-note" }, message.note));
  }
  if (message.facts) {
    made.append(factsOf(message.facts, tokens(message.facts.usage)));
  }
  return made;
}

function roleOf(message) {
  if (message.role !== "tool") {
    return ROLES[message.role];
  }
  const named = messages.flatMap((each) => each.tool_calls ?? []).find((each) => each.id === message.tool_call_id);
  return `Result of ${named?.function.name ?? "a call"}`;
}

function tokens(usage) {
  if (!usage) {
    return [];
  }
  const cached = usage.prompt_tokens_details?.cached_tokens;
  const thought = usage.completion_tokens_details?.reasoning_tokens;
  return [
    ["Tokens in", `${whole(usage.prompt_tokens)}${cached ? ` (${whole(cached)} cached)` : ""}`],
    ["out", `${whole(usage.completion_tokens)}${thought ? ` (${whole(thought)} reasoning)` : ""}`],
  ];
}

function fill(body, message) {
  const parts = [];
  if (message.reasoning) {
    const isOpen = running?.message === message && !message.content;
    parts.push(element("details", { class: "thoughts", open: isOpen }, element("summary", {}, "Reasoning"), element("p", {}, message.reasoning)));
  }
  if (message.content || !message.tool_calls?.length) {
    const text = element("div", { class: "message-text" });
    text.append(message.role === "assistant" ? rendered(message.content) : message.content);
    parts.push(text);
  }
  for (const each of (message.tool_calls ?? []).filter((found) => found)) {
    parts.push(element("div", { class: "tool-call" }, element("h3", {}, "Calls ", element("code", {}, each.function.name)), element("pre", {}, pretty(each.function.arguments))));
  }
  body.replaceChildren(...parts);
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

let isDrawing = false;

// At most once for each picture of the screen, however fast the pieces come.
function draw(message) {
  if (isDrawing) {
    return;
  }
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    const body = byId("writing");
    if (!body || running?.message !== message) {
      return;
    }
    const isInView = byId("composer").getBoundingClientRect().bottom <= innerHeight + 80;
    fill(body, message);
    body.lastElementChild?.classList.add("is-writing");
    if (isInView) {
      byId("composer").scrollIntoView({ block: "end" });
    }
  });
}

function quiet(text, label, action) {
  return element("button", { type: "button", class: "quiet", "aria-label": label, onclick: action }, text);
}

function actions(message, position) {
  const made = [];
  if (message.role !== "assistant" || message.content) {
    made.push(quiet("Edit", `Edit message ${position + 1}`, () => edit(position)));
  }
  if (message.role === "assistant") {
    made.push(quiet("Regenerate", `Answer message ${position} again`, () => regenerate(position)));
  }
  return element("div", { class: "message-actions" }, made);
}

function regenerate(position) {
  messages = messages.slice(0, position);
  keep();
  answer();
}

function edit(position) {
  editing = position;
  show();
  const field = byId("edited");
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
}

function editor(message, position) {
  const field = element("textarea", { id: "edited", rows: Math.min(12, message.content.split("\n").length + 1) });
  field.value = message.content;
  const done = () => {
    editing = null;
    keep();
    show();
  };
  const isAsked = message.role !== "assistant";
  const save = (event) => {
    event.preventDefault();
    message.content = field.value.trim();
    if (isAsked) {
      messages = messages.slice(0, position + 1);
    }
    done();
    if (isAsked && !openCalls().length) {
      answer();
    }
  };
  return element(
    "form",
    { class: "message-edit", onsubmit: save },
    element("label", { for: "edited" }, `Edit: ${roleOf(message)}`),
    field,
    isAsked && position < messages.length - 1 ? element("p", { class: "muted" }, "What follows this message is taken away and answered anew.") : null,
    element(
      "div",
      { class: "form-end" },
      element("button", { class: "secondary", type: "button", onclick: done }, "Cancel"),
      element("button", { class: "primary", type: "submit" }, isAsked ? "Save and send" : "Save"),
    ),
  );
}

// --- Results of tools ---------------------------------------------------------------

function results() {
  const open = openCalls();
  const fields = open.map((each, position) => {
    const id = `result-${position}`;
    return element(
      "div",
      { class: "tool-result" },
      element("label", { for: id }, "What ", element("code", {}, each.function.name), " answers"),
      element("textarea", { id, rows: 2, placeholder: '{"temperature": 21}' }),
    );
  });
  const give = (event) => {
    event.preventDefault();
    const given = open.map((each, position) => ({ role: "tool", tool_call_id: each.id, content: byId(`result-${position}`).value.trim() }));
    const missing = given.findIndex((each) => !each.content);
    if (missing >= 0) {
      faultAt(byId(`result-${missing}`), "Type in what the function answers.");
      return;
    }
    messages.push(...given);
    keep();
    answer();
  };
  return element("form", { class: "tool-call", novalidate: true, onsubmit: give }, fields, element("p", { class: "tool-send" }, element("button", { class: "primary", type: "submit" }, "Send the results")));
}

// --- Pictures -----------------------------------------------------------------------

function image(picture) {
  // The page shows what is its own; an address elsewhere is told, and fetched by the server alone.
  return picture.url.startsWith("data:")
    ? element("img", { src: picture.url, alt: picture.name })
    : element("span", { class: "picture-name" }, picture.url);
}

function showPictures() {
  byId("pictures").replaceChildren(
    ...pictures.map((picture, position) =>
      element(
        "li",
        {},
        image(picture),
        quiet("Take away", `Take away ${picture.name}`, () => {
          pictures.splice(position, 1);
          showPictures();
        }),
      ),
    ),
  );
}

async function addFiles(files) {
  for (const file of files) {
    if (!file.type.startsWith("image/") || file.size > MAX_PICTURE_BYTES) {
      faultAt(byId("say"), `${file.name} is no picture of up to 15 MB.`);
      continue;
    }
    pictures.push({ name: file.name || "picture", url: await readAsDataUrl(file) });
  }
  showPictures();
}

// --- The model ----------------------------------------------------------------------

function showModel() {
  const model = models.get(byId("model").value);
  byId("model-link").href = `${byId("model-link").dataset.root}${model.name}/`;
  const window = model.window ? `${whole(model.window)} tokens of context. ` : "";
  byId("model-facts").textContent = window + (model.needs_image ? "Describes pictures. " : "");
  byId("with-pictures").hidden = !model.vision;
  byId("effort-row").hidden = !model.reasoning;
  byId("tools").disabled = !model.tools;
  byId("tools-example").disabled = !model.tools;
  byId("no-tools").hidden = model.tools;
  byId("schema-row").hidden = byId("format").value !== "json_schema";
  if (!model.vision) {
    pictures = [];
    showPictures();
  }
}

// --- Listening ----------------------------------------------------------------------

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
byId("say").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
byId("say").addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  if (files.length && models.get(byId("model").value).vision) {
    event.preventDefault();
    addFiles(files);
  }
});
byId("stop").addEventListener("click", () => running?.abort.abort());
byId("clear").addEventListener("click", () => byId("clear-dialog").showModal());
byId("clear-yes").addEventListener("click", () => {
  messages = [];
  editing = null;
  byId("trouble").replaceChildren();
  byId("clear-dialog").close();
  keep();
  show();
  byId("say").focus();
});
byId("add-file").addEventListener("click", () => byId("picture-file").click());
byId("picture-file").addEventListener("change", async (event) => {
  await addFiles(event.target.files);
  event.target.value = "";
});
byId("add-url").addEventListener("click", () => {
  byId("picture-url").value = "";
  clearFaults(byId("url-form"));
  byId("url-dialog").showModal();
});
byId("url-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const url = byId("picture-url").value.trim();
  if (!/^https?:\/\/\S+$/.test(url)) {
    faultAt(byId("picture-url"), "Use an address that begins with https:// or http://.");
    return;
  }
  pictures.push({ name: url, url });
  byId("url-dialog").close();
  showPictures();
});
settings.addEventListener("submit", (event) => event.preventDefault());
settings.addEventListener("change", showModel);
settings.addEventListener("input", keep);
settings.addEventListener("change", keep);
byId("say").addEventListener("input", keep);
byId("tools-example").addEventListener("click", () => {
  byId("tools").value = JSON.stringify(EXAMPLE, null, 2);
  keep();
});
for (const start of document.querySelectorAll("[data-start]")) {
  start.addEventListener("click", () => {
    byId("say").value = start.dataset.start;
    send();
  });
}
offerCode(() => {
  // As it would be sent now: the draft is part of it, an answer at the end is not.
  const draft = byId("say").value.trim();
  const until = messages.findLastIndex((message) => message.role !== "assistant") + 1;
  const conversation = draft ? [...messages, { role: "user", content: draft, pictures }] : messages.slice(0, until);
  clearFaults(document);
  try {
    return { endpoint: "chat/completions", body: bodyOf(conversation.length ? conversation : [{ role: "user", content: "Hello!" }]) };
  } catch (error) {
    troubled(error);
    return null;
  }
});

if (matchMedia("(max-width: 64rem)").matches) {
  byId("more-settings").open = false;
}
restore();
showModel();
show();
