// Speech from text. Events are asked for, which tell at their end what it cost.

import { Watch, call, callFacts, events, factsOf, money } from "./calls.js";
import { byId, download, element, whole } from "./parts.js";
import { fillSelect, model, required, runTask } from "./task.js";

const MEDIA_TYPES = { mp3: "audio/mpeg", opus: "audio/ogg", aac: "audio/aac", flac: "audio/flac", wav: "audio/wav", pcm: "audio/pcm" };

function prepare() {
  const body = {
    model: model().name,
    input: required("text", "Type in what is to be said."),
    voice: byId("voice").value,
    response_format: byId("format").value,
  };
  return { endpoint: "audio/speech", body };
}

async function run({ endpoint, body }, signal) {
  const watch = new Watch();
  const response = await call(endpoint, { ...body, stream_format: "sse" }, { signal });
  const pieces = [];
  let usage = null;
  for await (const event of events(response)) {
    if (event.audio) {
      watch.noteFirst();
      pieces.push(Uint8Array.from(atob(event.audio), (character) => character.charCodeAt(0)));
    }
    usage = event.usage ?? usage;
  }
  const format = body.response_format;
  const url = URL.createObjectURL(new Blob(pieces, { type: MEDIA_TYPES[format] }));
  const facts = { ...callFacts(response), ...money(usage, response.headers), total: watch.total };
  return element(
    "article",
    { "aria-label": `Speech: ${body.input.slice(0, 60)}` },
    element("p", { class: "result-head" }, element("strong", {}, body.voice), ` ${body.input.slice(0, 160)}${body.input.length > 160 ? "…" : ""}`),
    format === "pcm" ? element("p", { class: "muted" }, "Browsers play no bare PCM: download it.") : element("audio", { controls: true, src: url }),
    download(url, `speech.${format}`, `Download ${format.toUpperCase()}`),
    factsOf(facts, [["Characters", usage ? whole(usage.characters) : null], ["First sound", `${Math.round(watch.first ?? 0)} ms`]]),
  );
}

function showModel() {
  fillSelect("voice", model().voices);
  fillSelect("format", model().formats);
}

runTask({ prepare, run, busy: "Speaking …", showModel });
