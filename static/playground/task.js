// What the pages of single calls share: a form that is sent, one call at a time, and its results.

import { CallError, FieldError, clearFaults, faultAt, markField, notice } from "./calls.js";
import { byId, element, readJson, say } from "./parts.js";
import { offerCode } from "./programs.js";

export const models = new Map(readJson("models").map((model) => [model.name, model]));
export const form = byId("settings");
export const model = () => models.get(byId("model").value);

export function required(id, message) {
  const text = byId(id).value.trim();
  if (!text) {
    throw new FieldError(byId(id), message);
  }
  return text;
}

export function wholeNumber(id) {
  const field = byId(id);
  const text = field.value.trim();
  if (!text && !field.validity.badInput) {
    return undefined;
  }
  const value = Number(text);
  const max = field.max ? Number(field.max) : Number.MAX_SAFE_INTEGER;
  if (field.validity.badInput || !Number.isSafeInteger(value) || value < Number(field.min) || value > max) {
    throw new FieldError(field, `Use a whole number from ${field.min}${field.max ? ` to ${field.max}` : ""}.`);
  }
  return value;
}

export function given(body) {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined && value !== ""));
}

export function fillSelect(id, values, kept = byId(id).value) {
  byId(id).replaceChildren(...values.map((value) => new Option(value, value, false, value === kept)));
}

// prepare: what is to be called, { endpoint, body, file? }; throws FieldError. run: makes the call
// with it and returns the element of its result; signal stops it.
export function runTask({ prepare, run, busy, showModel = () => {} }) {
  let abort = null;

  async function go() {
    if (abort) {
      return;
    }
    clearFaults(form);
    byId("trouble").replaceChildren();
    let prepared;
    try {
      prepared = prepare();
    } catch (error) {
      troubled(error, go);
      return;
    }
    abort = new AbortController();
    showBusy(busy);
    try {
      const result = await run(prepared, abort.signal);
      byId("results-empty")?.remove();
      byId("results").prepend(result);
      say("Done.");
    } catch (error) {
      if (error.name === "AbortError") {
        // Only a stream can be called back; the rest is made to its end.
        const note = "Not waited for. The call may have been made to its end, and charged: usage tells.";
        byId("trouble").replaceChildren(element("p", { class: "answer-note" }, note));
        say(note);
      } else {
        troubled(error, go);
      }
    } finally {
      abort = null;
      showBusy("");
    }
  }

  function showBusy(text) {
    const button = byId("go");
    button.dataset.label ??= button.textContent;
    button.textContent = text || button.dataset.label;
    button.disabled = Boolean(text);
    byId("stop").hidden = !text;
    byId("results").setAttribute("aria-busy", String(Boolean(text)));
    if (text) {
      say(text);
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go();
  });
  byId("stop").addEventListener("click", () => abort?.abort());
  byId("model").addEventListener("change", showModel);
  offerCode(() => {
    clearFaults(form);
    try {
      return prepare();
    } catch (error) {
      troubled(error);
      return null;
    }
  });
  showModel();
}

function troubled(error, again) {
  if (error instanceof FieldError) {
    faultAt(error.control, error.message);
    say(error.message);
    return;
  }
  const told = error instanceof CallError ? error : new CallError({ message: `This page made a mistake: ${error.message}`, code: "page_error" });
  byId("trouble").replaceChildren(notice(told, again));
  markField(form, told);
}
