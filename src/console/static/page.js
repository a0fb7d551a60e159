// What every page does: a form is sent once, and a page that says what was done is not sent again by loading it anew.

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  // After the button's own value was taken.
  setTimeout(() => form.querySelectorAll("button").forEach((button) => { button.disabled = true; }));
});

// A page that comes back from the browser's memory can be sent again.
addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => {
    delete form.dataset.sent;
    form.querySelectorAll("button").forEach((button) => { button.disabled = false; });
  });
});

const done = document.querySelector("[data-done]");
const tab = document.querySelector(".tabs a");
if (done && tab) {
  history.replaceState(null, "", done.dataset.done || tab.getAttribute("href"));
}

// What a dry run finds wrong stands at its field, too: the deepest that has its place.
function place(preview) {
  const form = preview.closest("form");
  form.querySelectorAll(".at").forEach((at) => at.replaceChildren());
  for (const fault of preview.querySelectorAll(".fault")) {
    const pointer = fault.querySelector("code")?.textContent ?? "";
    const holds = (one) => pointer === one.dataset.pointer || pointer.startsWith(`${one.dataset.pointer}/`);
    const fields = [...form.querySelectorAll("[data-pointer]")].filter(holds);
    const deepest = fields.sort((a, b) => b.dataset.pointer.length - a.dataset.pointer.length)[0];
    deepest?.querySelector(".at")?.append(fault.cloneNode(true));
  }
}

document.addEventListener("htmx:after:swap", () => {
  const preview = document.getElementById("preview");
  if (preview) {
    place(preview);
  }
});

// What is shown once is copied by a button; without one, and where the browser forbids it, by hand.
document.querySelectorAll("[data-copy]").forEach((button) => {
  const field = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      button.textContent = button.dataset.copied;
    } catch {
      field.focus();
    }
  });
});
