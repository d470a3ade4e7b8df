// Keeps relative times true while a page stays open. webapp/formats.py says them the same way.
(function () {
  "use strict";

  function inWords(seconds) {
    const s = Math.abs(seconds);
    if (s < 60) return "moments";
    if (Math.round(s / 60) < 60) return Math.round(s / 60) + " min";
    if (Math.round(s / 3600) < 24) return Math.round(s / 3600) + " h";
    const days = Math.round(s / 86400);
    return days + (days === 1 ? " day" : " days");
  }

  function relative(seconds) {
    if (seconds > 0) return "in " + inWords(seconds);
    return seconds > -60 ? "just now" : inWords(seconds) + " ago";
  }

  function refresh(root) {
    for (const element of root.querySelectorAll("time[data-relative]")) {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      element.textContent = relative((moment.getTime() - Date.now()) / 1000);
    }
  }

  refresh(document);
  setInterval(() => refresh(document), 30000);
  document.addEventListener("htmx:load", (event) => refresh(event.target));
})();
