// A list is uploaded as the file is, without a copy of it in the page, and how much of it was sent is shown meanwhile.

const MB = 1e6;

function kind(name) {
  return /\.(csv|tsv)(\.gz)?$/i.test(name) ? "text/csv" : "text/plain";
}

function send(form) {
  const fields = new FormData(form);
  const file = fields.get("file");
  const [button, bar] = [form.querySelector("button"), form.querySelector("progress")];
  const [said, came] = [form.querySelector("[role=status]"), form.querySelector(".came")];
  const query = new URLSearchParams();
  for (const name of ["column", "activate"]) {
    if (fields.get(name).trim()) {
      query.set(name, fields.get(name).trim());
    }
  }
  const request = new XMLHttpRequest();
  request.open("PUT", `/console/lists/${encodeURIComponent(fields.get("id").trim())}?${query}`);
  request.setRequestHeader("x-csrf", form.dataset.proof);
  request.setRequestHeader("content-type", kind(file.name));
  if (/\.gz$/i.test(file.name)) {
    request.setRequestHeader("content-encoding", "gzip");
  }
  const show = (done, all) => {
    bar.value = all ? done / all : 1;
    const text = form.dataset.progress.replace("{done}", (done / MB).toFixed(1));
    said.textContent = text.replace("{all}", (all / MB).toFixed(1));
  };
  request.upload.onprogress = (event) => show(event.loaded, event.total);
  request.upload.onload = () => { said.textContent = form.dataset.reading; };
  request.onloadend = () => {
    button.disabled = false;
    bar.hidden = true;
    said.textContent = "";
    if (request.status === 0) {
      came.textContent = form.dataset.broken;
    } else {
      // The console's own page, or its part.
      const page = new DOMParser().parseFromString(request.responseText, "text/html");
      const part = page.querySelector("main") ?? page.body;
      came.replaceChildren(...part.childNodes);
    }
  };
  came.replaceChildren();
  button.disabled = true;
  bar.hidden = false;
  show(0, file.size);
  request.send(file);
}

for (const form of document.querySelectorAll("form.upload")) {
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
    send(form);
  });
}
