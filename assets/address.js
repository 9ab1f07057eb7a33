/* The address is the only state: whatever a person does writes a new one, and the server answers each new address once. */
(function () {
  "use strict";

  const query = () => new URLSearchParams(window.location.search);

  /* dcc.Location listens to Back and Forward, and compares the address with its own: one change is one request. */
  const announce = () => window.dispatchEvent(new PopStateEvent("popstate"));

  /* Steps of one drag, or of a key held down on the slider, are one change: Back undoes them together. */
  const TOGETHER_MS = 1000;
  let latest = { kind: "", at: 0, target: "" };

  const here = () => window.location.pathname + window.location.search;

  /* The order of an address's parts means nothing: the server writes them in one of its own. */
  function spelled(target) {
    const url = new URL(target, window.location.href);
    url.searchParams.sort();
    return url.pathname + url.search;
  }

  /* Every change is an entry of the history, so that Back undoes it; changes of one `kind` in quick succession are one. */
  function go(target, kind) {
    if (spelled(target) === spelled(here())) return;
    const now = window.performance.now();
    const goesOn = kind && kind === latest.kind && here() === latest.target && now - latest.at < TOGETHER_MS;
    window.history[goesOn ? "replaceState" : "pushState"]({}, "", target);
    latest = { kind: kind || "", at: now, target: target };
    announce();
  }

  /* The server's spelling of the address that is there; the page answers to it already. */
  function respell(target) {
    if (target === here()) return;
    if (latest.target === here()) latest.target = target;
    window.history.replaceState(window.history.state, "", target);
  }

  /* The table's script is large and only Explore needs it. */
  let table = null;

  function fetchTable() {
    if (table || window.dash_ag_grid) return table || Promise.resolve();
    table = new Promise((done) => {
      const script = document.createElement("script");
      script.src = document.getElementById("dash-scripts").content.querySelector("[src*='/dash_ag_grid/']").src;
      script.onload = script.onerror = done;
      document.head.append(script);
    });
    return table;
  }

  function turnTo(path) {
    const turn = () => go(path + window.location.search);
    if (/^\/explore\/?$/i.test(path) && !window.dash_ag_grid) fetchTable().then(turn);
    else turn();
  }

  function change(edit, kind) {
    const params = query();
    edit(params);
    const text = params.toString();
    go(window.location.pathname + (text ? "?" + text : ""), kind);
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

  window.address = { go: go, respell: respell, turnTo: turnTo, fetchTable: fetchTable, change: change, put: put, toggle: toggle };
})();
