// The chat with an agent: its conversation is kept by the server, and a turn goes on without this
// page. What was missed is read again from the last event.

import { CallError, call, clearFaults, events, faultAt, markField, notice } from "../playground/calls.js";
import { rendered } from "../playground/markdown.js";
import { byId, dollars, element, say } from "../playground/parts.js";

const place = byId("playground");
const PAGE = 50;
const ENDS = new Set(["turn.completed", "turn.incomplete", "turn.failed", "turn.cancelled", "turn.interrupted", "turn.requires_action"]);

let conversation = place.dataset.conversation;
// Items as the API has them, the oldest first; beside them the facts of turns that ended here.
let items = [];
let oldest = null;
// The turn under way: its id, its output so far, the number of its last event.
let turn = null;

const path = (below) => `conversations/${conversation}${below}`;
const json = async (endpoint, body) => (await call(endpoint, body)).json();

// --- The conversation -----------------------------------------------------------------

async function load() {
  if (!conversation) {
    return;
  }
  try {
    await older();
    const told = await json(path(""));
    details();
    if (told.active_turn) {
      const active = await json(path(`/turns/${told.active_turn}`));
      const made = new Set(active.output.map((item) => item.id));
      items = items.filter((item) => !made.has(item.id));
      begin(told.active_turn);
      follow(`${path(`/turns/${turn.id}`)}?stream=true`);
    }
  } catch (error) {
    troubled(error, load);
  }
}

async function older() {
  const after = oldest ? `&after=${oldest}` : "";
  const page = await json(path(`/messages?limit=${PAGE}${after}`));
  items = [...page.data.reverse(), ...items];
  oldest = page.last_id;
  byId("earlier").hidden = !page.has_more;
  show();
}

function details() {
  const link = byId("details");
  link.href = `${link.dataset.root}${conversation}/`;
  link.hidden = false;
}

async function ensureConversation(text) {
  if (conversation) {
    return;
  }
  const made = await json("conversations", { title: text.slice(0, 80) });
  conversation = made.id;
  history.replaceState(null, "", `?conversation=${conversation}`);
  byId("no-recent").hidden = true;
  const link = element("a", { href: `?conversation=${conversation}`, "aria-current": "page" }, made.title || "New conversation");
  byId("recent").prepend(element("li", {}, link));
  details();
}

// --- A turn ---------------------------------------------------------------------------

function begin(id) {
  turn = { id, output: [], last: -1, ended: null };
}

async function send() {
  clearFaults(document);
  byId("trouble").replaceChildren();
  const field = byId("say");
  const text = field.value.trim();
  if (busy()) {
    return;
  }
  if (!text) {
    faultAt(field, "Write something first.");
    return;
  }
  if (turn?.ended?.required_action) {
    faultAt(field, "The agent waits for the results of its calls: send those first.");
    return;
  }
  try {
    await ensureConversation(text);
    settle();
    begin("");
    show();
    const response = await call(path("/turns"), { input: text, stream: true });
    field.value = "";
    items.push({ id: "", type: "message", role: "user", content: [{ type: "input_text", text }] });
    show();
    await read(response);
  } catch (error) {
    if (turn && !turn.id) {
      turn = null;
    }
    troubled(error, send);
    show();
  }
}

// The events of one answer; one that breaks off is asked for again from where it broke.
async function read(response) {
  turn.id = response.headers.get("x-agentflare-turn") ?? turn.id;
  try {
    for await (const event of events(response)) {
      take(event);
    }
  } catch (error) {
    if (error instanceof CallError && error.status) {
      throw error;
    }
  }
  if (turn && !turn.ended) {
    await again();
  }
}

async function again() {
  for (let wait = 250; turn && !turn.ended; wait = Math.min(wait * 2, 5000)) {
    say("The connection broke; the turn goes on, and is read again.");
    await new Promise((resolve) => setTimeout(resolve, wait));
    const last = turn.last < 0 ? "" : `&starting_after=${turn.last}`;
    try {
      const response = await call(`${path(`/turns/${turn.id}`)}?stream=true${last}`);
      for await (const event of events(response)) {
        wait = 250;
        take(event);
      }
    } catch (error) {
      if (error instanceof CallError && error.status && error.status < 500) {
        throw error;
      }
    }
  }
}

async function follow(endpoint) {
  show();
  try {
    await read(await call(endpoint));
  } catch (error) {
    troubled(error, () => location.reload());
  }
}

function take(event) {
  if (event.sequence_number <= turn.last) {
    return;
  }
  turn.last = event.sequence_number;
  const at = turn.output[event.output_index];
  switch (event.type) {
    case "response.output_item.added":
    case "response.output_item.done":
      turn.output[event.output_index] = event.item;
      break;
    case "response.content_part.added":
      at.content.push(event.part);
      break;
    case "response.output_text.delta":
    case "response.reasoning_text.delta":
      at.content[event.content_index].text += event.delta;
      break;
    case "response.refusal.delta":
      at.content[event.content_index].refusal += event.delta;
      break;
    case "response.function_call_arguments.delta":
      at.arguments += event.delta;
      break;
    default:
      if (ENDS.has(event.type)) {
        turn.ended = event.turn;
        turn.output = event.turn.output;
        say(event.type === "turn.requires_action" ? "The agent waits for results of tools." : "The answer is complete.");
      } else if (event.type === "turn.in_progress") {
        turn.ended = null;
      }
  }
  soon();
}

// Tokens come faster than anybody reads: once for each picture of the screen.
let isDue = false;
function soon() {
  if (!isDue) {
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      show();
    });
  }
}

async function stop() {
  try {
    await json(path(`/turns/${turn.id}/cancel`), {});
  } catch (error) {
    troubled(error, stop);
  }
}

async function retry() {
  const failed = turn.id;
  try {
    const response = await call(path(`/turns/${failed}/retry`), { stream: true });
    begin("");
    show();
    await read(response);
  } catch (error) {
    troubled(error, retry);
  }
}

async function submit(form) {
  const fields = [...form.querySelectorAll("textarea")];
  const outputs = fields.map((field) => ({ call_id: field.dataset.call, output: field.value }));
  try {
    const response = await call(path(`/turns/${turn.id}/tool_outputs`), { outputs, stream: true });
    for (const { call_id: id, output } of outputs) {
      turn.results = { ...turn.results, [id]: output };
    }
    turn.ended = null;
    show();
    await read(response);
  } catch (error) {
    troubled(error, () => submit(form));
  }
}

// What the last turn came to stands among the items from now on.
function settle() {
  if (turn) {
    items.push(...withResults(turn), ...(turn.ended ? [{ facts: turn.ended }] : []));
    turn = null;
  }
}

const busy = () => Boolean(turn) && !turn.ended;

function withResults({ output, results = {} }) {
  return output.filter(Boolean).flatMap((item) =>
    item.type === "function_call" && item.call_id in results ? [item, { type: "function_call_output", output: results[item.call_id] }] : [item],
  );
}

function troubled(error, repeat) {
  const told = error instanceof CallError ? error : new CallError({ message: `This page made a mistake: ${error.message}`, code: "page_error" });
  byId("trouble").replaceChildren(notice(told, repeat));
  markField(byId("composer"), told);
}

// --- Showing --------------------------------------------------------------------------

function show() {
  const running = busy();
  const shown = items.map(item);
  if (turn) {
    shown.push(...withResults(turn).map(item));
    if (!turn.output.some(Boolean) && running) {
      shown.push(element("li", { class: "message message-assistant" }, element("p", { class: "muted" }, "…")));
    }
    if (turn.ended?.required_action) {
      shown.push(resultsForm(turn.ended.required_action.tool_calls));
    } else if (turn.ended) {
      shown.push(item({ facts: turn.ended, isLast: true }));
    }
  }
  byId("talk").replaceChildren(...shown);
  byId("talk").setAttribute("aria-busy", String(running));
  byId("messages-empty").hidden = shown.length > 0;
  byId("send").hidden = running;
  byId("stop").hidden = !running;
}

const ROLES = { user: "You", assistant: "Agent", system: "System", developer: "System" };

function item(told) {
  if (told.facts) {
    return facts(told.facts, told.isLast);
  }
  if (told.type === "function_call") {
    return box("assistant tool-call", ["Calls ", element("code", {}, told.name)], pre(told.arguments));
  }
  if (told.type === "function_call_output") {
    return box("tool tool-result", ["Result"], pre(typeof told.output === "string" ? told.output : textOf(told.output)));
  }
  if (told.type === "reasoning") {
    const text = textOf(told.content ?? told.summary);
    return element("li", { class: "message message-assistant" }, element("details", { class: "thoughts" }, element("summary", {}, "Thoughts"), pre(text)));
  }
  const body = element("div", { class: "message-body" });
  body.append(rendered(textOf(told.content)));
  const cut = told.status === "incomplete" ? element("span", { class: "tag tag-warn" }, "cut off") : null;
  return box(told.role, [ROLES[told.role] ?? told.role, " ", cut], body);
}

function box(kind, title, body) {
  const [role, ...more] = kind.split(" ");
  return element("li", { class: `message message-${role}` }, element("div", { class: "message-head" }, element("h3", { class: "message-role" }, title)), element("div", { class: more.join(" ") || false }, body));
}

const pre = (text) => element("pre", { tabindex: "0", class: "said" }, text);

function textOf(parts) {
  const names = { input_image: "(a picture)", input_file: "(a file)" };
  return parts.map((part) => names[part.type] ?? part.text ?? part.refusal ?? "").join("\n");
}

function facts(ended, isLast) {
  const notes = {
    incomplete: ended.incomplete_details?.reason === "max_steps" ? "Ended at the agent’s limit of steps." : "Cut off at the limit of tokens.",
    failed: ended.error?.message,
    interrupted: ended.error?.message,
    cancelled: "Stopped. What had come until then is charged.",
  };
  const note = notes[ended.status];
  const canRepeat = isLast && ["failed", "interrupted", "cancelled", "incomplete"].includes(ended.status);
  const again = canRepeat ? element("button", { type: "button", class: "secondary small", onclick: retry }, "Make it again") : null;
  const used = `${dollars(ended.cost)} · ${ended.usage.input_tokens.toLocaleString("en")} tokens in, ${ended.usage.output_tokens.toLocaleString("en")} out`;
  const steps = ended.steps.length > 1 ? ` · ${ended.steps.length} calls of the model` : "";
  return element("li", { class: "message turn-facts" }, note ? element("p", {}, note) : null, element("p", { class: "muted" }, used + steps), again);
}

function resultsForm(calls) {
  const made = element(
    "form",
    { class: "tool-form" },
    calls.flatMap((each) => [
      element("label", { for: `result-${each.call_id}` }, "What ", element("code", {}, each.name), " would have answered"),
      element("textarea", { id: `result-${each.call_id}`, rows: "3", "data-call": each.call_id }),
    ]),
    element("p", { class: "muted" }, "This page runs nothing: a program of yours would send this result."),
    element("button", { type: "submit", class: "primary" }, "Send the results"),
  );
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(made);
  });
  return element("li", { class: "message" }, made);
}

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
byId("stop").addEventListener("click", stop);
byId("earlier").addEventListener("click", () => older().catch((error) => troubled(error, older)));
load();
