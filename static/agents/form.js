// The editor: an example of tools, for who has none yet.

const field = document.getElementById("id_tools");
const button = document.getElementById("tools-example");

if (field && button) {
  const show = () => {
    button.hidden = field.value.trim() !== "";
  };
  button.addEventListener("click", () => {
    field.value = field.dataset.example;
    show();
    field.focus();
  });
  field.addEventListener("input", show);
  show();
}
