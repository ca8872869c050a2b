// What the pages of a workspace do by themselves: menu, dialogs, questions before what cannot be undone.

// --- Menu on narrow screens ---------------------------------------------------------

const toggle = document.querySelector(".side-toggle");
toggle?.addEventListener("click", () => {
  const isOpen = toggle.getAttribute("aria-expanded") === "true";
  toggle.setAttribute("aria-expanded", String(!isOpen));
});

// A menu that opens from a <summary> closes again when something else is pressed.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.switch[open], details.more[open]")) {
    if (!menu.contains(event.target)) {
      menu.open = false;
    }
  }
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest("details.switch[open], details.more[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// --- Dialogs ------------------------------------------------------------------------

// <button data-opens="id"> opens the <dialog id>; <button data-closes> closes the one it is in.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) {
    document.getElementById(opener.dataset.opens).showModal();
  }
  if (event.target.closest("[data-closes]")) {
    event.target.closest("dialog").close();
  }
  if (event.target instanceof HTMLDialogElement) {
    event.target.close(); // a press beside it
  }
});
for (const dialog of document.querySelectorAll("dialog[data-open]")) {
  dialog.showModal(); // a form in it came back with errors
}

// --- Forms --------------------------------------------------------------------------

// Pressed twice, sent once; and the button tells that something is under way.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") {
    return;
  }
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  const button = event.submitter;
  button?.setAttribute("aria-busy", "true");
  setTimeout(() => {
    delete form.dataset.sent;
    button?.removeAttribute("aria-busy");
  }, 10000);
});

// Back and forward show the page as it was, with the button still busy.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
  }
});

// <select data-submits>, <input data-submits>: filters take effect when they change.
document.addEventListener("change", (event) => {
  if (event.target.closest("[data-submits]")) {
    event.target.form.requestSubmit();
  }
});
