// Searching in a long list of boxes to tick: <div data-picker> with an input and labels.pick.

for (const picker of document.querySelectorAll("[data-picker]")) {
  const search = picker.querySelector(".picker-search");
  const input = search.querySelector("input");
  const status = search.querySelector("[role=status]");
  const labels = [...picker.querySelectorAll(".pick")];

  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const label of labels) {
      const isTicked = label.querySelector("input").checked;
      const fits = words.every((word) => label.textContent.toLowerCase().includes(word));
      label.hidden = !fits && !(isTicked && words.length === 0);
      shown += label.hidden ? 0 : 1;
    }
    const ticked = labels.filter((label) => label.querySelector("input").checked).length;
    status.textContent = `${words.length ? `${shown} of ${labels.length} shown, ` : ""}${ticked || "none"} ticked${ticked ? "" : ": all models are allowed"}`;
  };

  search.hidden = false;
  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault(); // it searches, and does not send the form
    }
  });
  picker.addEventListener("change", show);
  show();
}
