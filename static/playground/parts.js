// What the playground's pages share: making elements, money and times as people read them.

// Attributes that are functions listen to the event of their name (onclick: …). Children are
// nodes or text, which stays text.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      made.addEventListener(name.slice(2), value);
    } else if (value === true) {
      made.setAttribute(name, "");
    } else if (value !== false && value !== undefined && value !== null) {
      made.setAttribute(name, value);
    }
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export const byId = (id) => document.getElementById(id);

export function readJson(id) {
  return JSON.parse(byId(id).textContent);
}

// Amounts come as decimal dollars in text, with nine digits. Cut, and never rounded up.
export function dollars(text) {
  const sign = text.startsWith("-") ? "-" : "";
  const [whole, decimals = ""] = text.replace("-", "").split(".");
  const digits = Number(whole) > 0 ? decimals.slice(0, 4) : decimals;
  const kept = digits.replace(/0+$/, "").padEnd(2, "0");
  return `${sign}$${Number(whole).toLocaleString("en")}.${kept}`;
}

export function seconds(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

export const whole = (number) => Number(number).toLocaleString("en");

// A list of facts under an answer: [["Cost", "$0.01"], …]; those without a value are left out.
export function factList(facts) {
  const shown = facts.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return element(
    "dl",
    { class: "answer-facts" },
    shown.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
  );
}

export function download(url, name, label) {
  return element("a", { href: url, download: name, class: "secondary small" }, label);
}

export function readAsDataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

export function say(text) {
  byId("told").textContent = text;
}

// On a phone the row of tabs is wider than the page.
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
