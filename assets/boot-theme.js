/* Runs before the first paint, so that a dark page never flashes light. */
(function () {
  "use strict";
  var stored = null;
  try {
    stored = window.localStorage.getItem("quantization-theme");
  } catch (error) {
    stored = null; /* storage may be forbidden: the system's preference decides */
  }
  var dark = window.matchMedia && window.matchMedia("(prefers-color-scheme: dark)").matches;
  var theme = stored === "light" || stored === "dark" ? stored : dark ? "dark" : "light";
  document.documentElement.setAttribute("data-bs-theme", theme);
})();
