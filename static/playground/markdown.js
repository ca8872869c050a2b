// A small part of Markdown, as elements: never as markup, so that no answer can bring any.

import { element } from "./parts.js";

export function rendered(text) {
  const made = document.createDocumentFragment();
  const lines = text.split("\n");
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const fence = line.match(/^\s*(```+|~~~+)\s*([\w+#.-]*)/);
    if (fence) {
      const end = endOf(lines, at + 1, fence[1]);
      made.append(code(lines.slice(at + 1, end).join("\n"), fence[2]));
      at = end + 1;
    } else if (!line.trim()) {
      at += 1;
    } else if (/^#{1,6}\s/.test(line)) {
      made.append(element("p", { class: "md-heading" }, ...inline(line.replace(/^#+\s+/, ""))));
      at += 1;
    } else if (/^\s*([-*+]|\d+[.)])\s+/.test(line)) {
      const end = runOf(lines, at, (each) => /^\s*([-*+]|\d+[.)])\s+/.test(each) || /^\s{2,}\S/.test(each));
      made.append(list(lines.slice(at, end)));
      at = end;
    } else if (/^>\s?/.test(line)) {
      const end = runOf(lines, at, (each) => /^>/.test(each));
      made.append(element("blockquote", {}, ...inline(lines.slice(at, end).map((each) => each.replace(/^>\s?/, "")).join("\n"))));
      at = end;
    } else {
      const end = runOf(lines, at, (each) => each.trim() && !/^(\s*(```|~~~)|#{1,6}\s|>)/.test(each) && !/^\s*([-*+]|\d+[.)])\s+/.test(each));
      made.append(element("p", {}, ...inline(lines.slice(at, Math.max(end, at + 1)).join("\n"))));
      at = Math.max(end, at + 1);
    }
  }
  return made;
}

function endOf(lines, from, mark) {
  const end = lines.findIndex((line, position) => position >= from && line.trim().startsWith(mark));
  return end < 0 ? lines.length : end;
}

function runOf(lines, from, belongs) {
  let end = from;
  while (end < lines.length && belongs(lines[end])) {
    end += 1;
  }
  return end;
}

function code(source, language) {
  return element(
    "div",
    { class: "snippet" },
    element("pre", { tabindex: "0", role: "region", "aria-label": language ? `Code in ${language}` : "Code" }, element("code", {}, source)),
  );
}

function list(lines) {
  const isNumbered = /^\s*\d/.test(lines[0]);
  const first = Number(lines[0].match(/\d+/)?.[0] ?? 1);
  const items = [];
  for (const line of lines) {
    if (/^\s*([-*+]|\d+[.)])\s+/.test(line)) {
      items.push(line.replace(/^\s*([-*+]|\d+[.)])\s+/, ""));
    } else {
      items[items.length - 1] += `\n${line.trim()}`;
    }
  }
  return element(
    isNumbered ? "ol" : "ul",
    isNumbered && first !== 1 ? { start: first } : {},
    items.map((item) => element("li", {}, ...inline(item))),
  );
}

// Code, strong and emphasised text. Links stay text: their address may be anything.
function inline(text) {
  const pieces = [];
  let last = 0;
  for (const found of text.matchAll(/(`+)(.+?)\1|\*\*(.+?)\*\*|\*([^\s*][^*\n]*)\*/gs)) {
    pieces.push(text.slice(last, found.index));
    if (found[2] !== undefined) {
      pieces.push(element("code", {}, found[2]));
    } else if (found[3] !== undefined) {
      pieces.push(element("strong", {}, found[3]));
    } else {
      pieces.push(element("em", {}, found[4]));
    }
    last = found.index + found[0].length;
  }
  pieces.push(text.slice(last));
  return pieces.flatMap((piece) => (typeof piece === "string" ? withBreaks(piece) : [piece]));
}

function withBreaks(text) {
  return text.split("\n").flatMap((line, position) => (position ? [element("br"), line] : [line]));
}
