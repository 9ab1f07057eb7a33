/* Runs first: sets the theme before anything is painted, then starts Dash with only the scripts that the page needs. */
(function () {
  "use strict";

  const PATIENCE_MS = 1500;

  function setTheme() {
    let stored = null;
    try {
      stored = window.localStorage.getItem("quantization-theme");
    } catch (error) {
      stored = null; /* storage may be forbidden: the system's preference decides */
    }
    const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
    const theme = ["light", "dark"].includes(stored) ? stored : dark ? "dark" : "light";
    document.documentElement.setAttribute("data-bs-theme", theme);
  }

  /* Not run: what old browsers lack, a component that no page has, and the table, which address.js loads for Explore. */
  function isNeeded(source) {
    if (source.includes("/dash_ag_grid/")) return /^\/explore\/?$/i.test(window.location.pathname);
    return !source.includes("/polyfill@") && !source.includes("/dash_table/");
  }

  function append(tag, change) {
    const script = Object.assign(document.createElement("script"), { async: false, id: tag.id }, change);
    document.body.append(script);
    return script;
  }

  /* Files run in their order; the script without a file starts Dash, after the last of them. */
  function startDash() {
    let last = null;
    document.getElementById("dash-scripts").content.querySelectorAll("script").forEach((tag) => {
      if (!tag.src) last.addEventListener("load", () => append(tag, { text: tag.text }));
      else if (isNeeded(tag.src)) last = append(tag, { src: tag.src });
    });
  }

  /* A server that is gone would leave the page as it was, under another address. */
  function watchServer() {
    const lost = document.getElementById("lost");
    const ask = window.fetch;
    lost.querySelector("button").addEventListener("click", () => window.location.reload());
    window.fetch = async (...given) => {
      const asks = String(given[0]).includes("_dash-update-component");
      try {
        const answer = await ask(...given);
        if (asks) lost.hidden = answer.status < 500;
        return answer;
      } catch (error) {
        if (asks) lost.hidden = false;
        throw error;
      }
    };
  }

  /* Dash takes the processor for itself: the first plot goes before it, unless it takes long. */
  async function start() {
    watchServer();
    const late = new Promise((done) => window.setTimeout(done, PATIENCE_MS));
    await Promise.race([window.plot.first().catch(() => {}), late]);
    window.requestAnimationFrame(() => window.setTimeout(startDash));
  }

  setTheme();
  document.addEventListener("DOMContentLoaded", start);
})();
