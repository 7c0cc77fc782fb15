// What the pages beside the demand cannot say in HTML; each of them works without this file, by plain forms.
(() => {
  "use strict";

  document.addEventListener("keydown", (event) => {
    const area = event.target.closest?.("textarea");
    if (area && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      area.form.requestSubmit(area.form.querySelector(".primary"));
    }
  });

  // Copying needs a script: without one there is no button, and the text can be marked by hand.
  const reveal = () => { for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false; };
  reveal();
  document.body.addEventListener("htmx:after:swap", reveal);
  // What is about to leave is written down first; what cannot be written down does not leave.
  const leaves = async (form) => {
    const body = new URLSearchParams(new FormData(form));
    body.append("leaves", "on");
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true" } });
      const verdict = document.getElementById("verdict");
      const part = document.createElement("template");
      part.innerHTML = await answer.text();
      const link = answer.ok && part.content.querySelector("#send a");
      if (link) return link.href;
      verdict.replaceChildren(part.content);
    } catch {
      document.getElementById("unsaid").hidden = false;
    }
    return "";
  };
  document.addEventListener("click", async (event) => {
    const link = event.target.closest?.("a[data-leaves]");
    if (!link) return;
    event.preventDefault();
    // With what was written down, which may be newer than what the link was made for.
    const href = await leaves(document.querySelector(link.dataset.leaves));
    if (href) location.assign(href);
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    if (button.dataset.leaves && !(await leaves(document.querySelector(button.dataset.leaves)))) return;
    const field = document.querySelector(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(field.value);
      button.textContent = "Copied";
    } catch {
      field.focus();
      field.select();
    }
  });

  // A file dropped on its field is chosen; one dropped beside it must not replace the page.
  for (const drop of document.querySelectorAll(".drop")) {
    const input = drop.querySelector("input[type=file]");
    const over = (on) => (event) => {
      event.preventDefault();
      drop.classList.toggle("over", on);
    };
    drop.addEventListener("dragover", over(true));
    drop.addEventListener("dragleave", over(false));
    drop.addEventListener("drop", (event) => {
      over(false)(event);
      if (event.dataTransfer.files.length) {
        input.files = event.dataTransfer.files;
        input.dispatchEvent(new Event("change", { bubbles: true }));
      }
    });
  }

  // Sending a large file takes time that only the browser can see.
  const files = document.getElementById("files");
  files?.addEventListener("submit", (event) => {
    const file = document.getElementById("file").files[0];
    if (!file || file.size < 1e6 || event.submitter?.name === "explain") return;
    event.preventDefault();
    const sending = document.getElementById("sending");
    sending.parentElement.hidden = false;
    const request = new XMLHttpRequest();
    request.upload.onprogress = (sent) => { sending.value = (100 * sent.loaded) / sent.total; };
    request.onload = () => {
      if (request.responseURL.includes("/jobs/")) location.assign(request.responseURL);
      else files.submit();
    };
    request.onerror = () => files.submit();
    request.open("POST", files.action);
    request.send(new FormData(files));
  });

  const job = document.getElementById("job");
  if (job?.dataset.events) {
    const events = new EventSource(job.dataset.events);
    const bar = document.getElementById("job-progress");
    events.addEventListener("step", (event) => {
      const { stage, done, total } = JSON.parse(event.data);
      document.getElementById("job-stage").textContent = stage;
      document.getElementById("job-count").textContent = total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : "";
      if (total) {
        bar.max = total;
        bar.value = done;
      } else {
        bar.removeAttribute("value");
      }
    });
    events.addEventListener("done", () => {
      events.close();
      location.reload();
    });
  }
})();
