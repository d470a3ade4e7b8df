// Keeps relative times true while a page stays open, and shows the exact time in the reader's zone on hover.
(function () {
  "use strict";

  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

  function inWords(seconds) {
    const s = Math.abs(seconds);
    if (s < 60) return "moments";
    if (s < 3600) return Math.floor(s / 60) + " min";
    if (s < 86400) return Math.floor(s / 3600) + " h";
    const days = Math.floor(s / 86400);
    return days + (days === 1 ? " day" : " days");
  }

  function relative(seconds) {
    if (seconds > 0) return "in " + inWords(seconds);
    return seconds > -60 ? "just now" : inWords(seconds) + " ago";
  }

  function refresh(root) {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      element.title = exact.format(moment);
      if (element.dataset.relative !== undefined) {
        element.textContent = relative((moment.getTime() - Date.now()) / 1000);
      }
    }
  }

  refresh(document);
  setInterval(() => refresh(document), 30000);
  document.addEventListener("htmx:load", (event) => refresh(event.target));
})();
