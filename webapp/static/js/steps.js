// A form in steps: one part at a time, named in the address, so that Back goes back and nothing typed is lost.
(function () {
  "use strict";

  const form = document.querySelector("form[data-steps]");
  if (!form) return;
  const parts = [...form.querySelectorAll("[data-step]")];
  const links = [...form.querySelectorAll("[data-steps-nav] a")];

  function show(part, focus) {
    for (const each of parts) each.classList.toggle("at", each === part);
    for (const link of links) {
      if (link.hash === "#" + part.id) link.setAttribute("aria-current", "step");
      else link.removeAttribute("aria-current");
    }
    if (!focus) return;
    const head = part.querySelector("h2");
    head.tabIndex = -1;
    head.focus();
    part.dispatchEvent(new Event("step-shown"));
  }

  function named(hash) {
    return parts.find((part) => "#" + part.id === hash);
  }

  const refused = parts.find((part) => part.querySelector("[aria-invalid], .error"));
  const asked = document.getElementById(form.dataset.at || "");
  show(asked || refused || named(location.hash) || parts[0], false);
  window.addEventListener("hashchange", () => show(named(location.hash) || parts[0], true));

  // A link to where one came from changes no address.
  form.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    const part = link && named(link.hash);
    if (part) show(part, true);
  });

  // What a dry run has found holds for what was asked for then: it goes when that changes, or is asked anew.
  function forget(place, asking) {
    for (const old of place.querySelectorAll("[data-found]")) old.remove();
    const text = place.querySelector("[data-not-found]");
    text.textContent = asking ? text.dataset.asking : text.dataset.idle;
    text.hidden = false;
  }
  const snapshot = () => new URLSearchParams(new FormData(form)).toString();
  let known = snapshot();
  function changed() {
    if (snapshot() === known) return;  // a field that is left says "change" after its "input"
    for (const place of form.querySelectorAll("[data-foresight]")) {
      htmx.trigger(place, "htmx:abort");
      forget(place, false);
    }
  }
  for (const name of ["input", "change"]) form.addEventListener(name, changed);
  form.addEventListener("htmx:beforeRequest", (event) => {
    if (!event.detail.target.matches("[data-foresight]")) return;
    known = snapshot();
    forget(event.detail.target, true);
  });
  form.addEventListener("htmx:afterRequest", (event) => {
    const place = event.detail.target;
    if (!event.detail.successful && place.matches("[data-foresight]")) forget(place, false);
  });

  // A browser cannot point at what is wrong in a part that is not shown: go there first.
  form.addEventListener("invalid", (event) => {
    if (form.querySelector(".at :invalid")) return;
    show(event.target.closest("[data-step]") || parts[0], false);
  }, true);
})();
