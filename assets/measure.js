/* The page that measures files: a form, the command that it makes, and the run. It is built once and kept. */
(function () {
  "use strict";

  const { ask, make, button, form, runPanel, isActive, doorway } = window.local;
  const PREVIEW_MS = 150;
  const POLL_MS = 1000;
  const NAMES = { run: "Compare files", demo: "Try the demo" };

  const root = make("div", { className: "measure-page" });
  const visible = () => root.isConnected;

  let begun = false;
  let forms = {};
  let chosen = "run";
  let latest = { state: "idle" };
  let previewing = 0;
  let asked = 0;
  let polling = 0;
  let run = null;
  let parts = null;

  function fail(error) {
    if (error.status === 401) {
      begun = false;
      root.replaceChildren(doorway(begin));
    } else parts ? say(error.message) : root.replaceChildren(make("p", { className: "run-error", textContent: error.message }));
  }

  function say(text) {
    parts.said.textContent = text;
    parts.said.hidden = !text;
  }

  const request = () => ({ command: chosen, values: forms[chosen].read() });

  function preview() {
    window.clearTimeout(previewing);
    previewing = window.setTimeout(() => {
      const number = (asked += 1);
      ask("preview", request()).then(
        (told) => {
          if (number !== asked) return;
          parts.line.textContent = told.line;
          parts.copy.dataset.copy = told.line;
          say("");
        },
        (error) => (error.status === 401 ? fail(error) : say(error.message)),
      );
    }, PREVIEW_MS);
  }

  function choose(name) {
    chosen = name;
    Object.entries(forms).forEach(([each, made]) => (made.element.hidden = each !== name));
    parts.choices.querySelectorAll("button").forEach((item) => {
      item.setAttribute("aria-pressed", String(item.dataset.name === name));
      item.classList.toggle("chosen", item.dataset.name === name);
    });
    parts.help.textContent = parts.commands[name].help;
    preview();
  }

  /* What this page starts is in its form already. */
  function startRun(what) {
    if (latest.state === "idle") latest = { state: "starting" };
    say("");
    ask("start", what).then(follow, fail);
  }

  function build(described) {
    const names = Object.keys(described.commands);
    forms = Object.fromEntries(names.map((name) => [name, form(name, described.commands[name], preview)]));
    run = runPanel({
      stop: () => ask("stop").then(follow, fail),
      resume: () => startRun(latest.request),
    });
    const choices = make("div", { className: "segments", role: "group", "aria-label": "What to do" }, ...names.map((name) => make("button", { type: "button", className: "choice", textContent: NAMES[name] || name, onclick: () => choose(name), "data-name": name })));
    parts = {
      commands: described.commands,
      choices: choices,
      help: make("p", { className: "hint" }),
      line: make("pre", { className: "command", id: "measure-line", tabIndex: 0, role: "group", "aria-label": "Command" }),
      copy: make("button", { type: "button", className: "tool", textContent: "Copy" }),
      start: button("Start", () => startRun(request()), { className: "tool primary", id: "measure-start" }),
      said: make("p", { className: "run-error", role: "alert", hidden: true }),
    };
    const where = make("p", { className: "hint", textContent: "SRC, below, is where a model is: a .gguf file, several with *, a folder with a checkpoint, or hf:owner/repo. Paths are those of this machine, from " + described.folder + "." });
    const foot = make("div", { className: "measure-foot" }, parts.line, parts.said, make("div", { className: "in-row" }, parts.start, parts.copy));
    const left = make("section", { className: "box request", "aria-label": "What to measure" }, make("div", { className: "in-row" }, choices, parts.help), where, ...names.map((name) => forms[name].element), foot);
    root.replaceChildren(left, run.element);
    choose(names.includes(chosen) ? chosen : names[0]);
  }

  /* Show a state; while a run goes on, ask again. A page that finds one running shows it in its form. */
  function follow(state) {
    const opened = state.opened && state.opened !== latest.opened;
    const found = latest.state === "idle" && isActive(state);
    latest = state;
    run.show(state);
    parts.start.disabled = isActive(state);
    if (found && forms[state.request.command]) {
      forms[state.request.command].set(state.request.values);
      choose(state.request.command);
    }
    if (opened && visible() && isActive(state)) window.address.change((params) => window.address.put(params, "results", [state.opened]));
    window.clearTimeout(polling);
    if (isActive(state) && visible()) polling = window.setTimeout(poll, POLL_MS);
  }

  function poll() {
    ask("state").then(follow, (error) => {
      if (error.status) return fail(error);
      polling = window.setTimeout(poll, 2 * POLL_MS);
      return say("The server does not answer.");
    });
  }

  function begin() {
    if (begun) return poll();
    begun = true;
    root.replaceChildren(make("p", { className: "hint", textContent: "Asking the evaluator for its options …" }));
    return ask("describe")
      .then((described) => {
        build(described);
        return ask("state").then(follow);
      })
      .catch((error) => {
        begun = false;
        fail(error);
      });
  }

  /* Dash makes the place anew whenever the page is turned to; what was typed stays in the kept element. */
  function settle() {
    const place = document.getElementById("measure");
    if (!place || place.contains(root)) return;
    place.append(root);
    begin();
  }

  new MutationObserver(settle).observe(document.documentElement, { childList: true, subtree: true });
  settle();
})();
