/* Explore's columns: the buttons of the menu write the chosen ones into the address. */
(function () {
  "use strict";

  const SEPARATOR = ".";
  const buttons = () => [...document.querySelectorAll("#columns-menu [data-column]")];
  const isPressed = (button) => button.getAttribute("aria-pressed") === "true";

  /* The usual ones need no word in the address; without any there would be no table. */
  function write() {
    const names = buttons().filter(isPressed).map((button) => button.dataset.column);
    const usual = document.querySelector("#columns-menu [data-usual]").dataset.usual;
    const text = names.join(SEPARATOR);
    window.address.change((params) => window.address.put(params, "columns", !text || text === usual ? [] : [text]), "columns");
  }

  /* The answer brings a new menu: it is open as the one before was, with the same button in focus. */
  let pressed = null;

  function reopen() {
    const menu = document.getElementById("columns-menu");
    if (!pressed || !menu || menu === pressed.menu) return;
    menu.open = true;
    menu.querySelector(pressed.button)?.focus();
    pressed = null;
  }

  function remember(button) {
    const [name, value] = button.dataset.column ? ["column", button.dataset.column] : ["columns", button.dataset.columns];
    pressed = { menu: document.getElementById("columns-menu"), button: `[data-${name}="${window.CSS.escape(value)}"]` };
    new MutationObserver((_, watcher) => {
      reopen();
      if (!pressed) watcher.disconnect();
    }).observe(document.getElementById("body"), { childList: true, subtree: true });
  }

  function press(which) {
    buttons().forEach((button) => button.setAttribute("aria-pressed", String(which(button))));
    write();
  }

  document.addEventListener("click", (event) => {
    const column = event.target.closest("[data-column]");
    const all = event.target.closest("[data-columns]");
    if (column || all) remember(column || all);
    if (column) press((button) => isPressed(button) !== (button === column));
    if (!all) return;
    const usual = document.querySelector("#columns-menu [data-usual]").dataset.usual.split(SEPARATOR);
    press((button) => all.dataset.columns === "all" || usual.includes(button.dataset.column));
  });
})();
