/* Requests that act on this machine: each carries this start's key, which the opened link brings after its #. */
(function () {
  "use strict";

  const STORED = "quantization-key";
  let key = "";

  function remember(value) {
    key = value;
    try {
      window.localStorage.setItem(STORED, value);
    } catch (error) {
      /* storage may be blocked: the key then lasts until the page is closed */
    }
  }

  function remembered() {
    try {
      return window.localStorage.getItem(STORED) || "";
    } catch (error) {
      return "";
    }
  }

  async function post(name, headers, body) {
    const answer = await window.fetch("/local/" + name, { method: "POST", headers: { "X-Dashboard-Key": key, ...headers }, body: body });
    const told = await answer.json().catch(() => ({ error: "the server's answer cannot be read" }));
    if (!answer.ok) throw Object.assign(new Error(told.error || answer.statusText), { status: answer.status });
    return told;
  }

  const send = (name, body) => post(name, { "Content-Type": "application/json" }, JSON.stringify(body || {}));

  /* The key leaves the address at once, so that a copied link does not hold it. */
  async function enter() {
    key = remembered();
    const [, kind, value] = /^#(key|ticket)=([\w-]+)$/.exec(window.location.hash) || [];
    if (!kind) return;
    window.history.replaceState(window.history.state, "", window.location.pathname + window.location.search);
    if (kind === "key") remember(value);
    else remember((await send("enter", { ticket: value })).key);
  }

  const entered = enter().catch(() => {});

  async function admitted() {
    await entered;
    if (!key) throw Object.assign(new Error("This page has no key; open the link that the terminal shows."), { status: 401 });
  }

  const ask = (name, body) => admitted().then(() => send(name, body));
  const upload = (name, form) => admitted().then(() => post(name, {}, form));

  /* An element with its properties, attributes (those with a dash, and `role`) and children. */
  function make(tag, properties, ...children) {
    const element = document.createElement(tag);
    Object.entries(properties || {}).forEach(([name, value]) => {
      if (value === undefined || value === null) return;
      if (name.includes("-") || ["role", "list", "for"].includes(name)) element.setAttribute(name, value);
      else element[name] = value;
    });
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  const button = (text, onclick, more) => make("button", { type: "button", className: "tool", textContent: text, onclick: onclick, ...more });

  /* What stands where the key is missing: the terminal's link, or the key itself, lets this browser in. */
  function doorway(done) {
    const field = make("input", { type: "text", className: "field", autocomplete: "off", spellcheck: false, "aria-label": "Key or link" });
    const letIn = (event) => {
      event.preventDefault();
      remember(field.value.trim().replace(/^.*#key=/, ""));
      done();
    };
    return make(
      "form",
      { className: "box doorway", onsubmit: letIn },
      make("h2", { textContent: "This browser has no key yet" }),
      make("p", { textContent: "Open the link that the terminal shows after “from the screen”, or paste it here. So nobody else can start programs on this machine." }),
      make("div", { className: "in-row" }, field, make("button", { className: "tool", textContent: "Let in" })),
    );
  }

  window.local = { ask: ask, upload: upload, make: make, button: button, doorway: doorway };
})();
