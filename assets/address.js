/* The address is the only state: every action writes a new one, and the server answers each new address once. */
(function () {
  "use strict";

  const query = () => new URLSearchParams(window.location.search);

  /* dcc.Location listens to Back and Forward, and compares the address with its own: one change is one request. */
  const announce = () => window.dispatchEvent(new PopStateEvent("popstate"));

  /* The slider's steps during a drag or a held key are one change, which Back undoes at once. */
  const TOGETHER_MS = 1000;
  let latest = { kind: "", at: 0, target: "" };

  const here = () => window.location.pathname + window.location.search;

  /* The page's entries in the history are numbered, so that undoing and redoing never leave it. */
  const place = () => (window.history.state && window.history.state.place) || 0;
  let last = place();

  /* The same address with sorted parameters, for comparing: their order has no meaning. */
  function sorted(target) {
    const url = new URL(target, window.location.href);
    url.searchParams.sort();
    return url.pathname + url.search;
  }

  /* Every change is a history entry, so that Back undoes it; quick changes of the same `kind` share one, and so do those
     of one gesture (`goesOn`), however long the answers take. */
  function go(target, kind, goesOn) {
    if (sorted(target) === sorted(here())) return;
    const now = window.performance.now();
    const continues = kind && kind === latest.kind && here() === latest.target && (goesOn || now - latest.at < TOGETHER_MS);
    last = place() + (continues ? 0 : 1);
    window.history[continues ? "replaceState" : "pushState"]({ place: last }, "", target);
    latest = { kind: kind || "", at: now, target: target };
    announce();
  }

  let spelled = { asked: "", target: "" };

  /* Replace the address that was asked for by the server's equivalent, without a request. Return whether it is still
     there: a newer one, which has an answer of its own, stands. */
  function respell(asked, target) {
    if (here() !== asked && !(spelled.asked === asked && spelled.target === here())) return false;
    spelled = { asked: asked, target: target };
    if (target === here()) return true;
    if (latest.target === here()) latest.target = target;
    window.history.replaceState(window.history.state, "", target);
    return true;
  }

  /* The table's script is large, and only Explore needs it. */
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

  function change(edit, kind, goesOn) {
    const params = query();
    edit(params);
    const text = params.toString();
    go(window.location.pathname + (text ? "?" + text : ""), kind, goesOn);
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

  /* Step through the page's own changes; return whether there is one. The address follows with the event popstate. */
  function travel(by) {
    if (by < 0 ? !place() : place() >= last) return false;
    window.history.go(by);
    return true;
  }

  window.addEventListener("popstate", () => {
    last = Math.max(last, place());
  });

  window.address = { here: here, travel: travel, go: go, respell: respell, turnTo: turnTo, fetchTable: fetchTable, change: change, put: put, toggle: toggle };
})();
