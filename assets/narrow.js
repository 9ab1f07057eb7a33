/* A chart in a narrow window: its layout says in `meta.narrow` what is different there, such as panels below each other,
   and how high it is then at least. */
(function () {
  "use strict";

  const narrow = window.matchMedia("(max-width: 720px)");
  const isPart = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

  /* A copy of an object or a list with the changes. */
  function changed(whole, changes) {
    const copy = Array.isArray(whole) ? whole.slice() : Object.assign({}, whole);
    Object.entries(changes).forEach(([key, value]) => {
      copy[key] = isPart(value) ? changed(copy[key], value) : value;
    });
    return copy;
  }

  /* The layout for the window; the styles of the page, or of one chart of several, know its height. */
  function fitted(layout, holder = document.documentElement) {
    const { height, ...changes } = (narrow.matches && layout.meta?.narrow) || {};
    holder.style.setProperty("--tall", `${height || 0}px`);
    return changed(layout, changes);
  }

  window.narrow = { fitted: fitted, onTurn: (draw) => narrow.addEventListener("change", draw) };
})();
