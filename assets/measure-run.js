/* The state of a run: stages, files, time left, messages, and what can be done about it. */
(function () {
  "use strict";

  const { make, button } = window.local;

  const HEADINGS = {
    idle: "Nothing is being measured",
    running: "Measuring",
    stopping: "Stopping; what is finished is kept",
    done: "Measured",
    partly: "Measured, but some files failed",
    stopped: "Stopped; what was finished is kept",
    failed: "The measurement failed",
  };
  const active = (state) => state.state === "running" || state.state === "stopping";
  const capital = (text) => text && text[0].toUpperCase() + text.slice(1);

  function duration(seconds) {
    if (seconds < 120) return Math.max(1, Math.round(seconds)) + " s";
    return seconds < 7200 ? Math.round(seconds / 60) + " min" : (seconds / 3600).toFixed(1) + " h";
  }

  /* Name, share and place of each file that the run scores. */
  function fileRow(file) {
    const done = file.share >= 1;
    const where = done ? "scored" : file.share ? Math.round(100 * file.share) + " %, " + file.where : "waiting";
    const bar = make("progress", { max: 1, value: file.share, "aria-label": file.name });
    return make("li", { className: done ? "done" : file.share ? "current" : "" }, make("span", { className: "file-name", textContent: file.name, title: file.name }), bar, make("span", { className: "file-where", textContent: where }));
  }

  function stageRow(name, index, state) {
    const last = index === state.stages.length - 1;
    const current = last && active(state);
    const mark = current ? "●" : last && state.state !== "done" && state.state !== "partly" ? "–" : "✓";
    const row = make("li", { className: current ? "current" : "done" }, make("span", { className: "mark-of-stage", textContent: mark, "aria-hidden": "true" }), make("span", { textContent: capital(name) }));
    if (current && state.step && state.step !== name) row.append(make("small", { textContent: state.step }));
    return row;
  }

  function timeOf(state) {
    const spent = duration(state.seconds) + " so far";
    if (!active(state)) return "After " + duration(state.seconds);
    const { name, done, total, left } = state.rounds || {};
    if (done < total && left !== null) return "About " + duration(left) + " left of " + name + " in engines (" + done + " of " + total + " done); " + spent;
    const scoring = state.total && state.tokens < state.total;
    return scoring && state.left !== null ? "About " + duration(state.left) + " left to score the files; " + spent : capital(spent);
  }

  /* Return the panel, and a function that shows a state in it; `actions` has stop and resume. */
  function panel(actions) {
    const heading = make("h2", { "aria-live": "polite" });
    const time = make("p", { className: "run-time" });
    const stages = make("ol", { className: "stages" });
    const files = make("ul", { className: "files" });
    const error = make("p", { className: "run-error", role: "alert", hidden: true });
    const see = make("a", { className: "tool primary", "data-go": "1", hidden: true });
    const stop = button("Stop", actions.stop, { id: "measure-stop" });
    const resume = button("Resume", actions.resume, { id: "measure-resume", title: "The same command again" });
    const line = make("pre", { className: "command" });
    const log = make("pre", { className: "log", tabIndex: 0, role: "group", "aria-label": "Messages" });
    const said = make("details", { open: true }, make("summary", { textContent: "Messages" }), log);
    const parts = make("div", { className: "run-parts" }, time, error, make("div", { className: "in-row" }, see, stop, resume), stages, files, said, line);
    const hint = make("p", { className: "hint", textContent: "One measurement runs at a time. It goes on when this page is closed, and ends with the dashboard; a stopped one continues where it was." });
    const element = make("section", { className: "box run", "aria-label": "Measurement" }, heading, parts, hint);

    function show(state) {
      const idle = state.state === "idle";
      heading.textContent = HEADINGS[state.state];
      element.dataset.state = state.state;
      parts.hidden = idle;
      if (idle) return;
      time.textContent = timeOf(state);
      stages.replaceChildren(...state.stages.map((name, index) => stageRow(name, index, state)));
      files.replaceChildren(...state.files.map(fileRow));
      error.textContent = state.state === "stopped" ? "" : capital(state.error);
      error.hidden = !error.textContent;
      see.hidden = !state.opened;
      see.textContent = active(state) ? "See what is measured so far" : "See the results";
      see.href = "/?results=" + encodeURIComponent(state.opened || "");
      stop.hidden = !active(state);
      stop.textContent = state.state === "stopping" ? "Stop at once" : "Stop";
      resume.hidden = !["stopped", "failed", "partly"].includes(state.state);
      resume.textContent = state.state === "stopped" ? "Resume" : "Try again";
      line.textContent = state.command;
      const end = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
      log.replaceChildren(...state.log.map(({ text, level }) => make("span", { className: level, textContent: text + "\n" })));
      if (end) log.scrollTop = log.scrollHeight;
    }

    return { element: element, show: show };
  }

  window.local.runPanel = panel;
  window.local.isActive = active;
})();
