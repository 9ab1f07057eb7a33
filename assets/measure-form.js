/* The form of a command, built from the evaluator's own description of its options. */
(function () {
  "use strict";

  const { make, button, browse } = window.local;

  /* Options that are asked for first, in this order; all others follow under “More options”. */
  const FIRST = ["baseline", "variant", "text", "out", "chunks", "context", "engines"];
  /* What can be chosen from a list of names, by option. */
  const WANTED = { baseline: "model", variant: "model", text: "text", out: "results", comparison: "text" };
  /* Where most people begin. */
  const BEGINNING = { run: { text: ["builtin"], out: "results" }, demo: {} };

  function input(option, identity, changed, more) {
    const known = option.known.length ? identity + "-known" : null;
    const field = make("input", {
      type: "text",
      className: "field",
      id: identity,
      autocomplete: "off",
      spellcheck: false,
      list: known,
      placeholder: option.default || "",
      inputMode: option.kind === "integer" ? "numeric" : option.kind === "number" ? "decimal" : "text",
      oninput: changed,
      ...more,
    });
    const names = known && make("datalist", { id: known }, ...option.known.map((value) => make("option", { value: value })));
    return [field, names];
  }

  function browser(option, field, changed) {
    const wanted = WANTED[option.name];
    if (!wanted) return null;
    const chosen = (path) => {
      field.value = path;
      changed();
    };
    return button("Browse", () => browse(field.value, wanted, chosen), { "aria-label": "Browse for " + option.label });
  }

  /* Each maker returns the element of an option, and functions that read and set its value. */
  function single(option, identity, changed) {
    const [field, names] = input(option, identity, changed);
    const row = make("div", { className: "in-row" }, field, names, browser(option, field, changed));
    return { element: row, read: () => field.value.trim(), set: (value) => (field.value = value || "") };
  }

  function flag(option, identity, changed) {
    const box = make("input", { type: "checkbox", className: "form-check-input", id: identity, onchange: changed });
    return { element: box, read: () => box.checked || "", set: (value) => (box.checked = Boolean(value)) };
  }

  function repeated(option, identity, changed) {
    const rows = make("div", { className: "rows" });
    const entries = [];
    let count = 0;

    function add(value) {
      const made = option.name === "variant" ? pair(option, identity + count, changed) : single(option, identity + count, changed);
      made.element.querySelectorAll("input").forEach((field) => field.hasAttribute("aria-label") || field.setAttribute("aria-label", option.label));
      count += 1;
      const remove = button("×", () => drop(made), { className: "tool remove", "aria-label": "Remove this one of " + option.label });
      made.element.append(remove);
      made.set(value);
      entries.push(made);
      rows.append(made.element);
      return made;
    }

    function drop(made) {
      if (entries.length === 1) made.set("");
      else {
        entries.splice(entries.indexOf(made), 1);
        made.element.remove();
      }
      changed();
    }

    function set(values) {
      entries.splice(0).forEach((made) => made.element.remove());
      count = 0;
      (values && values.length ? [].concat(values) : [""]).forEach(add);
    }

    set([]);
    const more = button("+ Add", () => add("").element.querySelector("input").focus(), { "aria-label": "Add to " + option.label });
    return { element: make("div", {}, rows, more), read: () => entries.map((made) => made.read()).filter(Boolean), set: set };
  }

  /* METHOD=SRC in two fields. */
  function pair(option, identity, changed) {
    const method = make("input", { type: "text", className: "field method-name", placeholder: "method", autocomplete: "off", spellcheck: false, oninput: changed, "aria-label": "Method, such as bartowski" });
    const [source] = input(option, identity, changed, { placeholder: "file, or several with *", "aria-label": "File or glob of " + option.label });
    const row = make("div", { className: "in-row" }, method, source, browser(option, source, changed));
    const read = () => (method.value.trim() || source.value.trim() ? method.value.trim() + "=" + source.value.trim() : "");
    const set = (value) => {
      const [, name, path] = /^([^=]*)=?(.*)$/s.exec(value || "");
      method.value = name;
      source.value = path;
    };
    return { element: row, read: read, set: set };
  }

  function fieldOf(option, prefix, changed) {
    const identity = prefix + "-" + option.name;
    const maker = option.kind === "flag" ? flag : option.repeated ? repeated : single;
    const made = maker(option, identity, changed);
    const name = make("label", option.repeated ? { textContent: option.label } : { textContent: option.label, for: identity });
    const told = option.help.replace(/\.$/, "") === option.label ? null : option.help;
    const help = told && make("p", { className: "hint", textContent: told });
    const around = make("div", { className: "option-field" + (option.kind === "flag" ? " is-flag" : ""), role: option.repeated ? "group" : null, "aria-label": option.repeated ? option.label : null }, name, made.element, help);
    return { ...made, name: option.name, around: around };
  }

  /* Return the form of one command: its element, and functions that read and set all values. */
  function form(name, command, changed) {
    const fields = command.options.map((option) => fieldOf(option, "measure-" + name, changed));
    const rank = (field) => FIRST.indexOf(field.name);
    const first = fields.filter((field) => rank(field) >= 0).sort((one, other) => rank(one) - rank(other));
    const others = fields.filter((field) => rank(field) < 0);
    const more = make("details", { className: "more" }, make("summary", { textContent: "More options" }), make("div", { className: "fields" }, ...others.map((field) => field.around)));
    const element = make("div", { className: "command-form" }, make("div", { className: "fields" }, ...first.map((field) => field.around)), others.length ? more : null);

    function read() {
      const pairs = fields.map((field) => [field.name, field.read()]);
      return Object.fromEntries(pairs.filter(([, value]) => value !== "" && value.length !== 0));
    }

    function set(values) {
      fields.forEach((field) => field.set(values[field.name]));
      more.open = others.some((field) => values[field.name] !== undefined);
    }

    set(BEGINNING[name] || {});
    return { element: element, read: read, set: set };
  }

  window.local.form = form;
})();
