// Buttons with data-copy="<id>" copy that element's text. Without this script they stay hidden.
async function copyText(source) {
  // The clipboard is there on https and localhost only.
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(source.textContent);
    return;
  }
  getSelection().selectAllChildren(source);
  if (!document.execCommand("copy")) {
    throw new Error("refused");
  }
}

function announce(text) {
  const announcer = document.getElementById("copied");
  if (announcer) {
    announcer.textContent = text;
  }
}

async function copyFor(button) {
  const source = document.getElementById(button.dataset.copy);
  let outcome = "Copied";
  try {
    await copyText(source);
  } catch {
    outcome = "Select and copy";
    getSelection().selectAllChildren(source);
  }
  button.textContent = outcome;
  announce(outcome);
  setTimeout(() => {
    button.textContent = "Copy";
    announce("");
  }, 2000);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    copyFor(button);
  }
});

function showCopyButtons(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = false;
  }
}

showCopyButtons(document);
document.addEventListener("htmx:load", (event) => showCopyButtons(event.detail.elt.parentElement ?? document));
