// Buttons with data-copy="<id>" copy that element's text. Without this script they stay hidden.
const announcer = document.getElementById("copied");

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

async function copyFor(button) {
  let outcome = "Copied";
  try {
    await copyText(document.getElementById(button.dataset.copy));
  } catch {
    outcome = "Select and copy";
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
  }
  button.textContent = outcome;
  announcer.textContent = outcome;
  setTimeout(() => {
    button.textContent = "Copy";
    announcer.textContent = "";
  }, 2000);
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copyFor(button));
}
