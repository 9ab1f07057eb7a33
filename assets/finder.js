/* “Find a variant”: the list narrows with each letter; Enter picks one of it, Shift Enter filters by all of it. */
(function () {
  "use strict";

  const { change, put } = window.address;
  const byId = (id) => document.getElementById(id);
  const all = () => [...document.querySelectorAll("#find-list [data-variant]")];
  const matching = () => all().filter((entry) => !entry.hidden);
  let active = null;

  function activate(entry) {
    all().forEach((other) => other.setAttribute("aria-selected", String(other === entry)));
    active = entry || null;
    if (entry) entry.scrollIntoView({ block: "nearest" });
    byId("find").setAttribute("aria-activedescendant", entry ? entry.id : "");
  }

  function show(open) {
    byId("find-menu").hidden = !open;
    byId("find").setAttribute("aria-expanded", String(open));
    if (!open) activate(null);
  }

  /* Every word that is typed has to be in the name. */
  function narrow(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    all().forEach((entry, index) => {
      entry.id = "find-" + index;
      entry.hidden = !words.every((word) => entry.textContent.toLowerCase().includes(word));
    });
    const found = matching();
    byId("find").closest(".find").classList.toggle("unknown", words.length > 0 && !found.length);
    byId("find-filter").hidden = !found.length;
    byId("find-filter").textContent = found.length === 1 ? "Show only this one" : `Show only these ${found.length}`;
    byId("find-none").hidden = found.length > 0;
    show(words.length > 0);
    activate(words.length ? found[0] : null);
  }

  function forget() {
    window.dash_clientside.set_props("find", { value: "" });
    byId("find").closest(".find").classList.remove("unknown");
    show(false);
    byId("find").blur();
  }

  function pick(entry) {
    if (!entry) return;
    const id = entry.dataset.variant;
    forget();
    change((params) => put(params, "pick", [...new Set([...params.getAll("pick"), id])].sort()));
  }

  function filter() {
    const ids = matching().map((entry) => entry.dataset.variant).sort();
    if (!ids.length) return;
    forget();
    change((params) => put(params, "only", ids));
  }

  function move(by) {
    const found = matching();
    if (!found.length) return;
    const index = found.indexOf(active);
    activate(found[(index + by + found.length) % found.length]);
  }

  /* Leave the field, or close its list; return whether either was there. */
  function leave() {
    const inside = document.activeElement && document.activeElement.closest(".finder");
    if (!inside && byId("find-menu").hidden) return false;
    forget();
    document.activeElement.blur();
    return true;
  }

  document.addEventListener("input", (event) => {
    if (event.target.id === "find") narrow(event.target.value);
  });

  document.addEventListener("focusin", (event) => {
    if (event.target.id !== "find") return;
    const roles = { role: "combobox", "aria-controls": "find-list", "aria-autocomplete": "list", "aria-expanded": "false" };
    Object.entries(roles).forEach(([name, value]) => event.target.setAttribute(name, value));
    if (event.target.value) narrow(event.target.value);
  });

  document.addEventListener("focusout", (event) => {
    if (event.target.closest(".finder") && !(event.relatedTarget && event.relatedTarget.closest(".finder"))) show(false);
  });

  document.addEventListener("keydown", (event) => {
    if (event.target.id !== "find" || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = {
      ArrowDown: () => move(1),
      ArrowUp: () => move(-1),
      Enter: () => (event.shiftKey ? filter() : pick(active || matching()[0])),
    }[event.key];
    if (!action || !event.target.value.trim()) return;
    event.preventDefault();
    action();
  });

  /* With the button down the field would lose its focus, and the list would close before the click. */
  document.addEventListener("mousedown", (event) => {
    if (event.target.closest("#find-menu")) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("#find-filter")) filter();
    else pick(event.target.closest("#find-list [data-variant]"));
  });

  window.finder = { leave: leave };
})();
