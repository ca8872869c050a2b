// Calls from the page: to the workspace's own address, with the session. There is no key here.

import { byId, dollars, element, factList, seconds } from "./parts.js";

const settings = byId("playground").dataset;

export class CallError extends Error {
  constructor(error, { status = 0, retryAfterS = null } = {}) {
    super(error.message);
    this.type = error.type;
    this.code = error.code ?? error.type ?? "";
    this.param = error.param ?? "";
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

// body: an object (sent as JSON) or FormData; none: it is read. Resolves when the answer's headers
// are there.
export async function call(endpoint, body, { signal } = {}) {
  const isForm = body instanceof FormData;
  const headers = { "X-CSRFToken": settings.csrf };
  if (body && !isForm) {
    headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(settings.calls + endpoint, {
      method: body ? "POST" : "GET",
      headers,
      body: isForm ? body : body && JSON.stringify(body),
      signal,
      redirect: "manual",
    });
  } catch (error) {
    if (error.name === "AbortError") {
      throw error;
    }
    throw new CallError({ message: "There was no answer: the connection failed.", code: "no_connection" });
  }
  if (response.type === "opaqueredirect") {
    throw new CallError({ message: "You are signed out.", code: "signed_out" });
  }
  if (!response.ok) {
    throw await refusal(response);
  }
  return response;
}

async function refusal(response) {
  const { status, headers } = response;
  const ms = headers.get("retry-after-ms");
  const after = headers.get("retry-after");
  const never = headers.get("x-should-retry") === "false";
  const retryAfterS = never ? null : ms ? Number(ms) / 1000 : after ? Number(after) : null;
  try {
    return new CallError((await response.json()).error, { status, retryAfterS });
  } catch {
    const why = { 403: "Your role may not call models.", 404: "This workspace is not there any more.", 413: "That is too large." };
    const message = why[status] ?? `The server answered ${status} and nothing that can be read.`;
    return new CallError({ message, code: `http_${status}` }, { status, retryAfterS });
  }
}

// The JSON of each event of a stream. An error inside it is thrown.
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  let ended = false;
  while (!ended) {
    const { value, done } = await reader.read();
    if (done) {
      break;
    }
    pending += value;
    const blocks = pending.split("\n\n");
    pending = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (data === "[DONE]") {
        ended = true;
      } else if (data) {
        const event = JSON.parse(data);
        if (event.error) {
          throw new CallError(event.error);
        }
        yield event;
      }
    }
  }
}

// --- What an answer took ------------------------------------------------------------

export class Watch {
  constructor() {
    this.started = performance.now();
    this.first = null;
  }

  noteFirst() {
    this.first ??= performance.now() - this.started;
  }

  get total() {
    return performance.now() - this.started;
  }
}

// As plain values, so that they can be kept.
export function money(usage, headers) {
  return {
    cost: usage?.request_cost ?? headers.get("x-request-cost"),
    balance: usage?.balance_remaining ?? headers.get("x-balance-remaining"),
  };
}

export function callFacts(response) {
  return {
    model: response.headers.get("x-agentflare-model"),
    requestId: (response.headers.get("x-request-id") ?? "").replace("req_", ""),
  };
}

export function factsOf(facts, more = []) {
  const known = (amount) => (amount ? dollars(amount) : null);
  return factList([
    ...more,
    ["Cost", known(facts.cost)],
    ["Credit left", known(facts.balance)],
    ["First token", facts.first === undefined || facts.first === null ? null : seconds(facts.first)],
    ["Time", facts.total ? seconds(facts.total) : null],
    ["Answered by", facts.model],
    ["Call", facts.requestId ? element("a", { href: `${settings.records}${facts.requestId}/` }, "details") : null],
  ]);
}

// --- Errors, with their remedy ------------------------------------------------------

const REMEDIES = {
  insufficient_quota: () => ["Lower “Max tokens”, so that less is held, or add credit: ", link(settings.credit, "balance and credit"), "."],
  credit_held: () => ["Calls that run now hold the rest. Try again when they have ended."],
  key_budget_exceeded: () => ["Whoever manages API keys can raise this budget: ", link(settings.keys, "API keys"), "."],
  model_not_found: () => ["Choose another model."],
  model_not_supported: () => ["Choose a model that can do this."],
  context_length_exceeded: () => ["Shorten or clear the conversation, or choose a model with a larger window."],
  content_policy_violation: () => ["Word it in another way."],
  tenant_suspended: () => ["An owner of this workspace can ask the operator why."],
  csrf_failed: () => [button("Reload the page", () => location.reload())],
  invalid_api_key: () => [link(settings.keys, "API keys")],
  ip_not_authorized: () => [link(settings.keys, "API keys")],
  signed_out: () => [link(location.pathname, "Sign in again"), ". The conversation is kept in this tab."],
  no_connection: () => ["Look at your connection, then try again."],
  upstream_error: () => ["Nothing was charged for what was not delivered. Try again, or choose another model."],
  upstream_busy: () => ["The provider has no capacity for this model now. Try again, or choose another."],
  upstream_timeout: () => ["Try again, ask for less, or choose another model."],
  json_schema_not_met: () => ["Choose a model with JSON mode, or simplify the schema. Nothing was charged."],
};

function link(href, text) {
  return element("a", { href }, text);
}

function button(text, action) {
  return element("button", { type: "button", class: "secondary small", onclick: action }, text);
}

// A notice that says what happened and what to do. again: what "Try again" does; it waits as long
// as the answer asked for.
export function notice(error, again) {
  const remedy = REMEDIES[error.code]?.() ?? (error.status >= 500 ? ["Try again in a moment."] : []);
  const made = element(
    "div",
    { class: "notice notice-error call-error", role: "alert" },
    element("p", {}, element("strong", {}, error.message), " ", ...remedy),
    element("p", { class: "error-code" }, element("code", {}, error.code)),
  );
  if (again) {
    const retry = button("Try again", again);
    if (error.retryAfterS) {
      countDown(retry, error.retryAfterS);
    }
    made.append(element("p", {}, retry));
  }
  return made;
}

function countDown(retry, seconds) {
  const until = performance.now() + seconds * 1000;
  retry.disabled = true;
  const tick = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    if (left <= 0) {
      retry.disabled = false;
      retry.textContent = "Try again";
      return;
    }
    retry.textContent = `Try again in ${left} s`;
    setTimeout(tick, 250);
  };
  tick();
}

// The control that a parameter came from (data-param="temperature", several with a space between).
function controlOf(form, param) {
  const root = param.split(/[.[]/)[0];
  const named = [...form.querySelectorAll("[data-param]")];
  return named.find((each) => each.dataset.param.split(" ").includes(root));
}

// Told beside its field as well, where there is one on this page.
export function markField(form, error) {
  const control = error.param && controlOf(form, error.param);
  if (!control) {
    return;
  }
  faultAt(control, error.message);
}

export function faultAt(control, message) {
  clearFault(control);
  const id = `${control.id}-fault`;
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", id);
  control.after(element("p", { id, class: "errorlist field-fault" }, message));
  const folded = control.closest("details");
  if (folded) {
    folded.open = true;
  }
  control.focus();
}

function clearFault(control) {
  control.removeAttribute("aria-invalid");
  control.removeAttribute("aria-describedby");
  byId(`${control.id}-fault`)?.remove();
}

export function clearFaults(form) {
  form.querySelectorAll("[aria-invalid]").forEach(clearFault);
}

// Thrown for what the page itself can see to be wrong.
export class FieldError extends Error {
  constructor(control, message) {
    super(message);
    this.control = control;
  }
}
