// The keys, and the few things a page cannot say in HTML. Everything works without this file, by plain forms.
(() => {
  "use strict";
  const ask = document.getElementById("ask");
  const lost = document.getElementById("lost");
  const answer = document.getElementById("answer");
  const keep = document.getElementById("keep");

  ask.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (event.shiftKey && keep) keep.click();
      else ask.requestSubmit(document.getElementById("search"));
    }
  });

  // Another page answers to this one: it is sent as a form without scripts would be.
  keep?.addEventListener("click", (event) => {
    event.preventDefault();
    ask.action = keep.formAction;
    ask.submit();
    ask.action = "/";
  });

  // A file that is dropped on the demand goes in; one that misses it must not replace the page.
  const bring = document.getElementById("bring");
  const file = document.getElementById("file");
  const demand = document.querySelector(".demand");
  if (bring) {
    const files = (event) => event.dataTransfer.types.includes("Files");
    const over = (on) => demand.querySelector(".drop").classList.toggle("over", on);
    document.addEventListener("dragover", (event) => {
      if (!files(event)) return;
      event.preventDefault();
      over(demand.contains(event.target));
    });
    document.addEventListener("drop", (event) => {
      if (!files(event)) return;
      event.preventDefault();
      over(false);
      if (!demand.contains(event.target) || !event.dataTransfer.files.length) return;
      file.files = event.dataTransfer.files;
      bring.requestSubmit();
    });
  }

  document.body.addEventListener("htmx:error", () => { lost.hidden = false; });
  document.body.addEventListener("htmx:before:swap", (event) => {
    const ours = event.detail.ctx.response.headers.get("content-type")?.startsWith("text/html");
    lost.hidden = ours;
    // What is no page of the console (a proxy's word, an error of the stack) must not stand in its place.
    if (!ours) event.preventDefault();
  });

  // A field that was typed in keeps its text through a swap; the one that came back is the one that counts.
  document.body.addEventListener("htmx:after:swap", (event) => {
    for (const field of answer.querySelectorAll("input.field, select.field")) {
      if (field === document.activeElement) continue;
      if (field.tagName === "SELECT") {
        for (const option of field.options) option.selected = option.defaultSelected;
      } else {
        field.value = field.defaultValue;
      }
    }
    for (const field of ask.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    const named = document.getElementById("trouble")?.dataset.field;
    const wrong = named && ask.querySelector(`[name="${CSS.escape(named)}"]`);
    if (wrong) {
      wrong.setAttribute("aria-invalid", "true");
      wrong.focus();
    }
    const { top } = answer.getBoundingClientRect();
    const hidden = top < 0 || top > window.innerHeight * 0.6;
    if (hidden && event.detail.ctx.request.submitter?.id === "search") answer.scrollIntoView();
  });

  // A card that was opened stays open.
  htmx.registerExtension("console", {
    htmx_before_morph_attr: (element, detail) => !(element.tagName === "DETAILS" && detail.attrName === "open"),
  });
})();
