/* Undo and redo: the history of the address, with the change in words. */
(function () {
  "use strict";

  const MOST_NAMED = 3;
  const WORDS = {
    model: "model", device: "device", method: "method", quant: "type", bits: "bits", domain: "text", bin: "confidence bin",
    layer: "layer", role: "role", only: "only", engine: "engine", results: "results", columns: "columns", gb: "memory",
    context: "context", tps: "speed", rise: "rise of perplexity", a: "A", b: "B",
  };
  const { options } = JSON.parse(document.getElementById("plot-settings").textContent);
  const say = (text) => window.said.say(text);

  function pageOf(path) {
    const tab = [...document.querySelectorAll("#tabs [role=tab]")].find((item) => new URL(item.href).pathname === path);
    return tab ? tab.textContent.replace(/^\d+/, "") : path;
  }

  function nameOf(key, value) {
    if (!["pick", "only", "a", "b"].includes(key)) return value;
    const entry = [...document.querySelectorAll("#find-list [data-variant]")].find((item) => item.dataset.variant === value);
    return entry ? entry.textContent : value;
  }

  function listed(key, values) {
    const names = values.slice(0, MOST_NAMED).map((value) => nameOf(key, value));
    return names.join(", ") + (values.length > MOST_NAMED ? ` and ${values.length - MOST_NAMED} more` : "");
  }

  /* One key's change in words, as `picked A` or `method main`. */
  function keyInWords(key, before, after) {
    const added = after.filter((value) => !before.includes(value));
    const removed = before.filter((value) => !after.includes(value));
    if (key === "pick") {
      const parts = [added.length && "picked " + listed(key, added), removed.length && "let go of " + listed(key, removed)];
      return parts.filter(Boolean).join(", ");
    }
    const option = options[key];
    if (option) return `${option.name}: ${option.choices[after[0]] || Object.values(option.choices)[0]}`;
    if (key === "columns") return "columns chosen";
    const name = WORDS[key] || key;
    if (!after.length) return `${name} no longer ${listed(key, removed)}`;
    return added.length ? `${name} ${listed(key, added)}` : `${name} without ${listed(key, removed)}`;
  }

  /* What turned one address into another. */
  function changeInWords(before, after) {
    const [from, to] = [before, after].map((address) => new URL(address, window.location.origin));
    const keys = [...new Set([...from.searchParams.keys(), ...to.searchParams.keys()])];
    const [old, now] = [from, to].map((url) => (key) => url.searchParams.getAll(key).sort());
    const changed = keys.filter((key) => old(key).join("\n") !== now(key).join("\n"));
    const parts = changed.map((key) => keyInWords(key, old(key), now(key)));
    if (from.pathname !== to.pathname) parts.unshift("went to " + pageOf(to.pathname));
    return parts.join("; ") || "nothing that is seen";
  }

  let asked = null;

  function step(by, verb) {
    if (asked) return;
    if (!window.address.travel(by)) say(by < 0 ? "Nothing to undo" : "Nothing to redo");
    else asked = { by: by, verb: verb, from: window.address.here() };
  }

  window.addEventListener("popstate", () => {
    if (!asked) return;
    const { by, verb, from } = asked;
    asked = null;
    const to = window.address.here();
    say(verb + ": " + (by < 0 ? changeInWords(to, from) : changeInWords(from, to)));
  });

  window.undo = { undo: () => step(-1, "Undone"), redo: () => step(1, "Redone") };
})();
