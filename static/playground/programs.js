// "Copy as code": the call that the page makes, as a program with the same parameters. The key is
// read from the environment; there is none in the page.

import { byId, element } from "./parts.js";

const { baseUrl } = byId("playground").dataset;
// Endpoint → how OpenAI's libraries call it, and the parameters that they know. Others go through
// extra_body in Python; JavaScript's library passes them on.
const METHODS = {
  "chat/completions": ["chat.completions.create", "chat.completions.create"],
  "images/generations": ["images.generate", "images.generate"],
  "audio/speech": ["audio.speech.create", "audio.speech.create"],
  embeddings: ["embeddings.create", "embeddings.create"],
  "audio/transcriptions": ["audio.transcriptions.create", "audio.transcriptions.create"],
};
const UNKNOWN_TO_OPENAI = ["negative_prompt", "steps"];
// What a program does with the answer.
const ENDS = {
  "chat/completions": {
    python: ['for chunk in answer:', '    for choice in chunk.choices:', '        print(choice.delta.content or "", end="", flush=True)', "    if chunk.usage:", "        print()", "        print(chunk.usage)"],
    javascript: ["for await (const chunk of answer) {", '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");', "  if (chunk.usage) console.log(chunk.usage);", "}"],
  },
  "images/generations": {
    python: ["import base64", "for number, picture in enumerate(answer.data, start=1):", '    with open(f"picture-{number}.png", "wb") as file:', "        file.write(base64.b64decode(picture.b64_json))"],
    javascript: ['import { writeFile } from "node:fs/promises";', "for (const [position, picture] of answer.data.entries()) {", '  await writeFile(`picture-${position + 1}.png`, Buffer.from(picture.b64_json, "base64"));', "}"],
  },
  "audio/speech": {
    python: ["answer.write_to_file(FILE)"],
    javascript: ['import { writeFile } from "node:fs/promises";', "await writeFile(FILE, Buffer.from(await answer.arrayBuffer()));"],
  },
  embeddings: {
    python: ["for item in answer.data:", "    print(item.index, len(item.embedding))"],
    javascript: ["for (const item of answer.data) console.log(item.index, item.embedding.length);"],
  },
  "audio/transcriptions": { python: ["print(answer.text)"], javascript: ["console.log(answer.text);"] },
};

// file: the name of a file, of a call that sends one.
export function programs(endpoint, body, { file = null } = {}) {
  return {
    curl: curl(endpoint, body, file),
    python: python(endpoint, body, file),
    javascript: javascript(endpoint, body, file),
  };
}

function curl(endpoint, body, file) {
  const lines = [`curl ${baseUrl}/${endpoint}`, '-H "Authorization: Bearer $AGENTFLARE_API_KEY"'];
  if (file !== null) {
    lines.push(`-F ${quoted(`file=@${file}`)}`);
    for (const [name, value] of Object.entries(body)) {
      lines.push(`-F ${quoted(`${name}=${value}`)}`);
    }
  } else {
    lines.push('-H "Content-Type: application/json"', `-d ${quoted(JSON.stringify(body, null, 2))}`);
  }
  if (endpoint === "audio/speech") {
    lines.push(`-o speech.${body.response_format ?? "mp3"}`);
  }
  return lines.join(" \\\n  ");
}

// For a shell: between single quotes nothing has a meaning but the quote itself.
function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function python(endpoint, body, file) {
  const known = Object.entries(body).filter(([name]) => !UNKNOWN_TO_OPENAI.includes(name) && !isExtra(endpoint, name));
  const extra = Object.entries(body).filter(([name]) => UNKNOWN_TO_OPENAI.includes(name) || isExtra(endpoint, name));
  const fields = known.map(([name, value]) => `    ${name}=${pythonValue(value, 1)},`);
  if (file !== null) {
    fields.unshift(`    file=open(${JSON.stringify(file)}, "rb"),`);
  }
  if (extra.length) {
    fields.push(`    extra_body=${pythonValue(Object.fromEntries(extra), 1)},`);
  }
  const ends = ENDS[endpoint].python.map((line) => line.replace("FILE", `"speech.${body.response_format ?? "mp3"}"`));
  return [
    ...ends.filter((line) => line.startsWith("import")),
    "import os",
    "",
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${JSON.stringify(baseUrl)}, api_key=os.environ["AGENTFLARE_API_KEY"])`,
    `answer = client.${METHODS[endpoint][0]}(`,
    ...fields,
    ")",
    ...ends.filter((line) => !line.startsWith("import")),
  ].join("\n");
}

const isExtra = (endpoint, name) => endpoint === "images/generations" && name === "seed";

function pythonValue(value, depth) {
  const indent = "    ".repeat(depth);
  if (value === null) {
    return "None";
  }
  if (typeof value === "boolean") {
    return value ? "True" : "False";
  }
  if (Array.isArray(value)) {
    const items = value.map((item) => `${indent}    ${pythonValue(item, depth + 1)},\n`);
    return items.length ? `[\n${items.join("")}${indent}]` : "[]";
  }
  if (typeof value === "object") {
    const items = Object.entries(value).map(([name, item]) => `${indent}    ${JSON.stringify(name)}: ${pythonValue(item, depth + 1)},\n`);
    return items.length ? `{\n${items.join("")}${indent}}` : "{}";
  }
  // JSON's texts and numbers are Python's too.
  return JSON.stringify(value);
}

function javascript(endpoint, body, file) {
  const ends = ENDS[endpoint].javascript.map((line) => line.replace("FILE", `"speech.${body.response_format ?? "mp3"}"`));
  const fields = JSON.stringify(body, null, 2).split("\n");
  if (file !== null) {
    fields.splice(1, 0, `  file: createReadStream(${JSON.stringify(file)}),`);
  }
  return [
    'import OpenAI from "openai";',
    ...(file === null ? [] : ['import { createReadStream } from "node:fs";']),
    ...ends.filter((line) => line.startsWith("import")),
    "",
    `const client = new OpenAI({ baseURL: ${JSON.stringify(baseUrl)}, apiKey: process.env.AGENTFLARE_API_KEY });`,
    `const answer = await client.${METHODS[endpoint][1]}(${fields.join("\n")});`,
    ...ends.filter((line) => !line.startsWith("import")),
  ].join("\n");
}

// --- The dialog ---------------------------------------------------------------------

// read: the endpoint, body and file as they are now; what it throws is told by the page.
export function offerCode(read) {
  const opener = byId("as-code");
  opener.hidden = false;
  opener.addEventListener("click", () => {
    const now = read();
    if (!now) {
      return;
    }
    for (const [language, source] of Object.entries(programs(now.endpoint, shortened(now.body), now))) {
      byId(`code-${language}`).replaceChildren(element("code", {}, source));
    }
    byId("code").showModal();
  });
}

// A picture that was chosen from a file would fill pages.
function shortened(value) {
  if (typeof value === "string") {
    const found = value.length > 4000 && value.match(/^data:[^;,]+;base64,/);
    return found ? `${found[0]}…the picture as base64…` : value;
  }
  if (Array.isArray(value)) {
    return value.map(shortened);
  }
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shortened(item)]));
  }
  return value;
}
