// Text from speech: of a file, or of what the microphone has recorded.

import { FieldError, Watch, call, callFacts, factsOf, money } from "./calls.js";
import { byId, element, say } from "./parts.js";
import { given, model, runTask } from "./task.js";

const MAX_BYTES = 25 * 1024 * 1024;
let recording = null;
let recorded = null;

function prepare() {
  const file = byId("file").files[0] ?? recorded;
  if (recording) {
    throw new FieldError(byId("record"), "The recording runs: stop it first.");
  }
  if (!file) {
    throw new FieldError(byId("file"), "Choose a file, or record some speech.");
  }
  if (file.size > MAX_BYTES) {
    throw new FieldError(byId("file"), "A file may have up to 25 MB. Cut it into parts.");
  }
  const body = given({ model: model().name, language: byId("language").value.trim(), prompt: byId("hint").value.trim() });
  return { endpoint: "audio/transcriptions", body, file: file.name, sound: file };
}

async function run({ endpoint, body, sound }, signal) {
  const watch = new Watch();
  const form = new FormData();
  for (const [name, value] of Object.entries(body)) {
    form.append(name, value);
  }
  form.append("file", sound, sound.name);
  const response = await call(endpoint, form, { signal });
  const answer = await response.json();
  const facts = { ...callFacts(response), ...money(answer.usage, response.headers), total: watch.total };
  return element(
    "article",
    { "aria-label": `Transcript of ${sound.name}` },
    element("p", { class: "result-head" }, element("strong", {}, sound.name)),
    element("p", { class: "transcript" }, answer.text || "Nothing was heard."),
    factsOf(facts, [["Sound", answer.usage?.seconds ? `${answer.usage.seconds} s` : null]]),
  );
}

// --- Microphone ---------------------------------------------------------------------

async function record() {
  if (recording) {
    recording.stop();
    return;
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch {
    byId("recorded").textContent = "The browser gives no microphone. Allow it for this page, or choose a file.";
    return;
  }
  const pieces = [];
  const started = performance.now();
  recording = new MediaRecorder(stream);
  recording.addEventListener("dataavailable", (event) => pieces.push(event.data));
  recording.addEventListener("stop", () => {
    stream.getTracks().forEach((track) => track.stop());
    const type = recording.mimeType.split(";")[0] || "audio/webm";
    recorded = new File(pieces, `recording.${type.includes("mp4") ? "mp4" : type.includes("ogg") ? "ogg" : "webm"}`, { type });
    recording = null;
    byId("file").value = "";
    byId("record").textContent = "Record again";
    byId("recorded").textContent = `${Math.round((performance.now() - started) / 1000)} s recorded.`;
    say("Recorded.");
  });
  recording.start();
  byId("record").textContent = "Stop recording";
  byId("recorded").textContent = "Recording …";
}

byId("record").hidden = !(navigator.mediaDevices && window.MediaRecorder);
byId("record").addEventListener("click", record);
byId("file").addEventListener("change", () => {
  recorded = null;
  byId("recorded").textContent = "";
});

runTask({ prepare, run, busy: "Listening …" });
