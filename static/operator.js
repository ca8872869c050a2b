// What the theme leaves without a name for screen readers: choices that are searched (Select2), and
// inputs in the rows below a form, which are named by their column.
(() => {
  const text = (element) => element?.textContent.trim().replace(/\s+/g, " ");
  const column = (field) => {
    const cell = field.closest("td");
    const head = cell?.closest("table")?.tHead?.rows[0];
    return text(head?.cells[cell.cellIndex]);
  };
  const nameOf = (field) => text(field.labels?.[0]) || column(field);

  const nameInputs = () => {
    for (const field of document.querySelectorAll("td :is(input, select, textarea):not([type=hidden])")) {
      const isNamed = field.labels?.length || field.getAttribute("aria-label");
      const name = isNamed ? "" : column(field);
      if (name) field.setAttribute("aria-label", name);
    }
  };
  const nameSearches = () => {
    for (const box of document.querySelectorAll(".select2-selection[aria-labelledby]")) {
      const select = box.closest(".select2-container").previousElementSibling;
      const name = select?.getAttribute("aria-label") || nameOf(select);
      if (!name) continue;
      for (const part of [box, box.querySelector(".select2-selection__rendered")]) {
        part?.removeAttribute("aria-labelledby");
        part?.setAttribute("aria-label", name);
      }
    }
  };
  const nameAll = () => {
    nameInputs();
    nameSearches();
  };

  addEventListener("DOMContentLoaded", () => {
    nameAll();
    // The theme makes its own, and rows are added.
    new MutationObserver(nameAll).observe(document.body, { childList: true, subtree: true });
  });
})();
