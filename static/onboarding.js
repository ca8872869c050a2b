// The address of a workspace: follows the name until the person writes one.

const slug = document.getElementById("id_slug");
const proposed = document.querySelector("[name=proposed]");

document.addEventListener("htmx:afterSwap", () => {
  const proposal = document.querySelector("#address-state [data-proposal]")?.dataset.proposal;
  // What was typed while the answer was on its way stays.
  if (proposal !== undefined && slug.value === proposed.value) {
    slug.value = proposed.value = proposal;
  }
});
