/* Set the theme before the first paint, so that a dark page does not flash light. */
(function () {
  "use strict";
  var stored = null;
  try {
    stored = window.localStorage.getItem("quantization-theme");
  } catch (error) {
    stored = null; /* storage may be blocked: use the system's preference */
  }
  var dark = window.matchMedia && window.matchMedia("(prefers-color-scheme: dark)").matches;
  var theme = stored === "light" || stored === "dark" ? stored : dark ? "dark" : "light";
  document.documentElement.setAttribute("data-bs-theme", theme);
})();
