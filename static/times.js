// Shows every <time> in the reader's own zone; its UTC text stays as the tooltip.
const shapes = {
  short: new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }),
  seconds: new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" }),
  day: new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" }),
};

function showTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]:not([title])")) {
    const shape = shapes[Object.keys(shapes).find((name) => name in element.dataset) ?? "short"];
    element.title = element.textContent;
    element.textContent = shape.format(new Date(element.dateTime));
  }
}

showTimes(document);
document.addEventListener("htmx:load", (event) => showTimes(event.detail.elt.parentElement ?? document));
