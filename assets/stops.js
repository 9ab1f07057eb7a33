/* Fewer stops of Tab: the choices of a group are one stop, and the arrow keys go from one to the next. Which one takes
   the focus is decided when Tab is pressed, so that an answer may bring new choices at any time. */
(function () {
  "use strict";

  /* The groups, and their choices. Radio buttons are one stop by themselves. */
  const GROUPS = [
    ["#filters fieldset", "input[type=checkbox]"],
    ["#shell .segments", ".choice"],
    ["#shell .tools", ":scope > button, :scope > div > details > summary"],
    ["#shell .links", "a"],
    ["#columns-menu .column-choices", "button"],
  ];
  const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  const lastIn = new WeakMap();

  const isChosen = (item) => item.checked || item.getAttribute("aria-pressed") === "true";
  const isShown = (item) => item.getClientRects().length > 0 && !item.disabled;

  function groupOf(element) {
    for (const [group, items] of GROUPS) {
      const place = element?.closest?.(group);
      const all = place ? [...place.querySelectorAll(items)].filter(isShown) : [];
      if (all.includes(element)) return { place: place, items: all };
    }
    return null;
  }

  /* The choice that Tab reaches: the focused one, else the last that was, else a chosen one, else the first. */
  function stopOf(place, items) {
    const last = lastIn.get(place);
    const focused = items.includes(document.activeElement) && document.activeElement;
    return focused || (items.includes(last) && last) || items.find(isChosen) || items[0];
  }

  function arrange() {
    GROUPS.forEach(([group, choices]) => {
      document.querySelectorAll(group).forEach((place) => {
        const items = [...place.querySelectorAll(choices)].filter(isShown);
        const stop = stopOf(place, items);
        items.forEach((item) => (item.tabIndex = item === stop ? 0 : -1));
      });
    });
  }

  function step(event) {
    const found = groupOf(event.target);
    if (!found) return;
    const { items } = found;
    const by = STEPS[event.key];
    const index = items.indexOf(event.target) + by;
    const next = Number.isFinite(by) ? items[(index + items.length) % items.length] : items[by < 0 ? 0 : items.length - 1];
    event.preventDefault();
    next.focus();
  }

  /* Before the keys of the page, which would turn it. */
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Tab") arrange();
    else if (event.key in STEPS) step(event);
  }, true);

  document.addEventListener("focusin", (event) => {
    const found = groupOf(event.target);
    if (found) lastIn.set(found.place, event.target);
  });
})();
