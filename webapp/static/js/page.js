// What htmx cannot: theme, copy, print, adding a folder to the list, announcements, and what went wrong.
(function () {
  "use strict";

  function announce(text) {
    const place = document.getElementById("announce");
    if (place) place.textContent = text;
  }

  function notice(text) {
    const place = document.getElementById("notices");
    const template = document.getElementById("notice-template");
    if (!place || !template) return;
    const note = template.content.cloneNode(true);
    note.querySelector("p").textContent = text;
    place.replaceChildren(note);
    place.scrollIntoView({ block: "nearest" });
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.dataset.text || source.textContent.trim());
      announce("Copied");
      button.dataset.done = "true";
    } catch (error) {
      // Without https a browser may refuse the clipboard: select the text, so that the keyboard can copy it.
      window.getSelection().selectAllChildren(source);
      announce("Selected; press Ctrl+C to copy");
    }
  }

  function addFolder(path) {
    const field = document.getElementById("paths");
    const lines = field.value.split("\n").filter((line) => line.trim() !== "");
    if (!lines.includes(path)) lines.push(path);
    field.value = lines.join("\n");
    field.dispatchEvent(new Event("change", { bubbles: true }));
    announce(path + " added");
  }

  function setTheme(form, value) {
    document.documentElement.dataset.theme = value;
    fetch(form.action, { method: "POST", body: new FormData(form) });
    for (const field of document.querySelectorAll("input[name=theme]")) {
      field.value = value === "dark" ? "light" : "dark";
    }
  }

  function follow(folder) {
    for (const box of folder.closest("li").querySelectorAll(":scope li input[type=checkbox]")) {
      box.checked = folder.checked;
      box.disabled = folder.checked;
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.copy) copy(button);
    if (button.dataset.print !== undefined) window.print();
    if (button.dataset.addFolder) addFolder(button.dataset.addFolder);
  });

  // Time axis: the point that is shown below is marked.
  document.addEventListener("click", (event) => {
    const picked = event.target.closest(".timeline a");
    if (!picked) return;
    for (const each of picked.closest(".timeline").querySelectorAll("a[aria-current]")) each.removeAttribute("aria-current");
    picked.setAttribute("aria-current", "true");
  });

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-theme-form]")) return;
    event.preventDefault();
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
    event.target.elements.theme.value = now === "dark" ? "light" : "dark";
    setTheme(event.target, event.target.elements.theme.value);
  });

  // A ticked folder means all that is below it: those boxes follow, and do not count a second time.
  document.addEventListener("change", (event) => {
    const form = event.target.matches("input[type=checkbox]") && event.target.form;
    const label = form && form.querySelector("[data-selected]");
    if (!label) return;
    if (event.target.matches(".tree input")) follow(event.target);
    const count = [...form.elements].filter((box) => box.checked && !box.disabled).length;
    label.textContent = count === 1 ? "1 thing selected" : count + " things selected";
  });

  // A folder opened after it was ticked.
  document.addEventListener("htmx:load", (event) => {
    const item = event.target.closest(".tree li");
    const folder = item && item.querySelector(":scope > .tree-item > .tick input");
    if (folder && folder.checked) follow(folder);
  });

  // What was pressed may be gone with what it changed: then the keyboard goes on from what came in its place.
  document.addEventListener("htmx:afterSettle", (event) => {
    const pressed = event.detail.requestConfig && event.detail.requestConfig.triggeringEvent;
    if (!pressed || !["click", "submit"].includes(pressed.type)) return;
    const place = event.detail.elt || event.target;
    if (document.activeElement !== document.body || !place.isConnected) return;
    if (!place.hasAttribute("tabindex")) place.tabIndex = -1;
    place.focus({ preventScroll: true });
  });

  // Time axis: the arrow keys go from point to point.
  document.addEventListener("keydown", (event) => {
    const link = event.target.closest && event.target.closest(".timeline a");
    if (!link || (event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
    const links = [...link.closest(".timeline").querySelectorAll("a")];
    const next = links[links.indexOf(link) + (event.key === "ArrowRight" ? 1 : -1)];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
  });

  document.addEventListener("announce", (event) => announce(event.detail.value));
  document.addEventListener("notice", (event) => notice(event.detail.value));

  // "… is saved." is news until something else happens; a warning stays until the page is left.
  for (const name of ["job-started", "job-ended"]) {
    document.addEventListener(name, () => {
      for (const note of document.querySelectorAll("#notices > .tone-good")) note.remove();
    });
  }

  // A tab that nobody looks at does not ask; it catches up when it is looked at.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const polled = event.detail.requestConfig.verb === "get" && !event.detail.requestConfig.triggeringEvent;
    if (document.hidden && polled) event.preventDefault();
  });

  document.addEventListener("htmx:sendError", () => {
    announce("Holdfast does not answer. The page shows what was known last.");
    document.documentElement.dataset.offline = "true";
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) delete document.documentElement.dataset.offline;
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status !== 401) {
      notice("That did not work (error " + event.detail.xhr.status + "). Nothing on this page was changed; reload it to see the present state.");
    }
  });

  // The last known values of a page shown by Back may be old.
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
