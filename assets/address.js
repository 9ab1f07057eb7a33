/* The address is the only state: whatever a person does writes a new one, and the server answers each new address once. */
(function () {
  "use strict";

  const query = () => new URLSearchParams(window.location.search);

  /* dcc.Location listens to this event, and compares the address with its own: one change is one request. */
  const announce = () => window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));

  function go(target, keepsHistory) {
    if (target === window.location.pathname + window.location.search) return;
    window.history[keepsHistory ? "pushState" : "replaceState"]({}, "", target);
    announce();
  }

  /* The table's script is large and only Explore needs it. */
  let table = null;

  function fetchTable() {
    const waiting = document.getElementById("table-script");
    if (!waiting || table) return table || Promise.resolve();
    table = new Promise((done) => {
      const script = document.createElement("script");
      script.src = waiting.dataset.src;
      script.onload = script.onerror = done;
      document.head.append(script);
    });
    return table;
  }

  function turnTo(path) {
    const turn = () => go(path + window.location.search, true);
    if (/^\/explore\/?$/i.test(path) && !window.dash_ag_grid) fetchTable().then(turn);
    else turn();
  }

  function change(edit) {
    const params = query();
    edit(params);
    const text = params.toString();
    go(window.location.pathname + (text ? "?" + text : ""), false);
  }

  function put(params, key, values) {
    params.delete(key);
    values.forEach((value) => params.append(key, value));
  }

  function toggle(params, key, value) {
    const values = params.getAll(key);
    const others = values.filter((item) => item !== value);
    put(params, key, (others.length < values.length ? others : [...values, value]).sort());
  }

  window.address = { announce: announce, go: go, turnTo: turnTo, fetchTable: fetchTable, change: change, put: put, toggle: toggle };
})();
