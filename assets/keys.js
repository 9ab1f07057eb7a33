/* The keyboard: one place says which key does what, and in which order Escape takes things back. */
(function () {
  "use strict";

  const byId = (id) => document.getElementById(id);
  const { change } = window.address;

  const KEYS = {
    c: () => window.shell.jump(byId("tab-compare")),
    e: () => window.shell.jump(byId("tab-explore")),
    s: () => window.shell.jump(byId("tab-summary")),
    m: () => byId("tab-measure") && window.shell.jump(byId("tab-measure")),
    f: () => window.shell.foldFilters(),
    t: () => byId("theme-toggle").click(),
    n: () => byId("numbers-toggle").click(),
    p: () => window.present.open(),
    "/": () => byId("find").focus(),
    "?": () => window.shell.openHelp(),
    0: () => window.shell.jump(byId("tab-overview")),
    ArrowRight: () => window.shell.step(1),
    ArrowLeft: () => window.shell.step(-1),
  };

  const TEXT = "input:not([type=checkbox], [type=radio], [type=range]), textarea, [contenteditable=true]";
  const OWN_KEYS = "dialog, [role=slider], [role=menu], .ag-root-wrapper, select";
  const OF_RADIO = /^Arrow(Left|Right|Up|Down)$/;
  const OF_CHART = /^(Arrow(Left|Right|Up|Down)|Home|End|Enter| )$/;

  /* Whether the element itself uses the key. */
  function busy(element, key) {
    if (!element || !element.closest) return false;
    if (element.type === "radio" && OF_RADIO.test(key)) return true;
    return Boolean(element.closest(`${OWN_KEYS}, ${TEXT}`)) || (element.id === "graph-place" && OF_CHART.test(key));
  }

  /* What Escape takes back, the first that there is; a dialog closes by itself. */
  const BACK = [
    () => closeMenu(),
    () => window.present.cancel(),
    () => window.finder.leave(),
    () => window.walk.leave(),
    () => window.plot.unzoom(),
    () => clear(["layer", "role"]),
    () => clear(["bin"]),
    () => clear(["pick"]),
  ];

  function closeMenu() {
    const open = document.querySelector("details.menu[open]");
    if (!open) return false;
    if (open.contains(document.activeElement)) open.querySelector("summary").focus();
    open.open = false;
    return true;
  }

  function clear(keys) {
    const before = window.address.here();
    change((params) => keys.forEach((key) => params.delete(key)));
    return window.address.here() !== before;
  }

  function undoing(event) {
    const key = event.key.toLowerCase();
    if (event.altKey || !(key === "z" || (key === "y" && event.ctrlKey && !event.shiftKey))) return;
    const element = document.activeElement;
    if (document.querySelector("dialog[open]") || (element && element.closest(TEXT))) return;
    event.preventDefault();
    if (key === "y" || event.shiftKey) window.undo.redo();
    else window.undo.undo();
  }

  function actionOf(event, element) {
    const tabs = window.shell.tabs();
    if (/^[1-9]$/.test(event.key)) {
      const tab = tabs.find((item) => item.querySelector(".key")?.textContent === event.key);
      return tab && (() => window.shell.jump(tab));
    }
    if ((event.key === "Home" || event.key === "End") && tabs.includes(element)) {
      return () => window.shell.jump(tabs[event.key === "Home" ? 0 : tabs.length - 1], true);
    }
    return KEYS[event.key] || KEYS[event.key.toLowerCase()];
  }

  document.addEventListener("keydown", (event) => {
    if (!byId("shell") || event.defaultPrevented) return;
    if (event.ctrlKey || event.metaKey) return undoing(event);
    if (event.altKey) return;
    const element = document.activeElement;
    if (event.key === "Escape") {
      if (!document.querySelector("dialog[open]")) BACK.some((take) => take());
      return;
    }
    if (busy(element, event.key)) return;
    const action = actionOf(event, element);
    if (!action) return;
    event.preventDefault();
    action();
  });
})();
