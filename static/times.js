// Shows every <time> in the reader's own zone; its UTC text stays as the tooltip.
const shapes = {
  short: new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }),
  seconds: new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" }),
};
for (const element of document.querySelectorAll("time[datetime]")) {
  const shape = "seconds" in element.dataset ? shapes.seconds : shapes.short;
  element.title = element.textContent;
  element.textContent = shape.format(new Date(element.dateTime));
}
