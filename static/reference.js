// Whoever chooses a language once wants it everywhere. Without this script each example has its own choice.
const remembered = "reference-language";

function choose(language) {
  for (const tab of document.querySelectorAll(".ref-tab")) {
    if (tab.value === language) {
      tab.checked = true;
    }
  }
}

function stored() {
  try {
    return localStorage.getItem(remembered);
  } catch {
    return null; // Storage may be forbidden.
  }
}

document.addEventListener("change", (event) => {
  if (!event.target.matches(".ref-tab")) {
    return;
  }
  // What is above changes its height: the reader's place must stay.
  const before = event.target.getBoundingClientRect().top;
  choose(event.target.value);
  window.scrollBy(0, event.target.getBoundingClientRect().top - before);
  try {
    localStorage.setItem(remembered, event.target.value);
  } catch {
    // The choice holds for this page.
  }
});

if (stored()) {
  choose(stored());
}

// The contents on a phone close once a place is chosen.
for (const jump of document.querySelectorAll(".ref-jump")) {
  jump.addEventListener("click", (event) => {
    if (event.target.matches("a")) {
      jump.open = false;
    }
  });
}
