/* Open results: a folder of this machine by its path, or files that are dropped on the page. */
(function () {
  "use strict";

  const { ask, upload, make, button, browse, doorway } = window.local;
  const RESULTS = /(^|\/)(manifest\.json|[^/]+\.parquet)$|^[^/]+\.zip$/i;
  const MODELS = /\.(gguf|safetensors|onnx|bin)$/i;

  const offered = () => document.getElementById("open-toggle");
  const show = (name) => window.address.go("/?results=" + encodeURIComponent(name));

  let dialog = null;

  function build() {
    const field = make("input", { type: "text", className: "field", id: "open-folder", autocomplete: "off", spellcheck: false });
    const said = make("p", { className: "said", role: "alert" });
    const open = (event) => {
      event.preventDefault();
      tell("");
      ask("open", { folder: field.value }).then((told) => done(told.name), failed);
    };
    const form = make(
      "form",
      { onsubmit: open },
      make("label", { for: "open-folder", textContent: "Folder on this machine" }),
      make("div", { className: "in-row" }, field, button("Browse", () => browse(field.value, "results", (path) => (field.value = path))), make("button", { className: "tool primary", textContent: "Open" })),
      make("p", { className: "hint", textContent: "Or drop a results folder, or a ZIP of one, anywhere on the page." }),
    );
    const head = make("div", { className: "panel-head" }, make("h2", { textContent: "Open results" }), button("Close", () => dialog.close()));
    dialog = make("dialog", { className: "help opening", "aria-label": "Open results" }, head, form, said);
    Object.assign(dialog, { field: field, said: said, form: form });
    document.body.append(dialog);
  }

  function ready() {
    if (!dialog) build();
    if (!dialog.open) dialog.showModal();
  }

  function tell(text) {
    ready();
    dialog.said.replaceChildren(text);
  }

  function failed(error) {
    tell(error.message);
    if (error.status === 401) dialog.said.replaceChildren(doorway(() => tell("Now try again.")));
  }

  function done(name) {
    dialog.close();
    show(name);
  }

  document.addEventListener("click", (event) => {
    if (!event.target.closest || !event.target.closest("#open-toggle")) return;
    tell("");
    dialog.field.focus();
  });

  /* Files with their paths below what was dropped. */
  async function collect(item, around) {
    if (item.isFile) {
      const file = await new Promise((good, bad) => item.file(good, bad));
      return [{ path: around + item.name, file: file }];
    }
    const reader = item.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((good, bad) => reader.readEntries(good, bad));
      if (!some.length) return found;
      for (const each of some) found.push(...(await collect(each, around + item.name + "/")));
    }
  }

  async function dropped(items) {
    const taken = items.filter((item) => item.kind === "file").map((item) => {
      const entry = item.webkitGetAsEntry && item.webkitGetAsEntry();
      return entry ? { entry: entry } : { file: item.getAsFile() };
    });
    const files = [];
    for (const { entry, file } of taken) files.push(...(entry ? await collect(entry, "") : [{ path: file.name, file: file }]));
    const wanted = files.filter(({ path }) => RESULTS.test(path));
    if (!wanted.length) {
      const models = files.some(({ path }) => MODELS.test(path));
      const why = "Browsers do not tell a page where a dropped file lies. To measure model files, enter their paths on the page Measure.";
      return tell(models ? why : "This is no results folder: it has no manifest.json and no Parquet files.");
    }
    tell("Opening " + wanted.length + (wanted.length === 1 ? " file …" : " files …"));
    const form = new FormData();
    wanted.forEach(({ path, file }) => form.append(path, file, file.name));
    return upload("drop", form).then((told) => done(told.name), failed);
  }

  const carriesFiles = (event) => offered() && event.dataTransfer && [...event.dataTransfer.types].includes("Files");

  function mark(on) {
    document.documentElement.classList.toggle("dropping", on);
  }

  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => !event.relatedTarget && mark(false));
  document.addEventListener("drop", (event) => {
    mark(false);
    if (!carriesFiles(event)) return;
    event.preventDefault();
    dropped([...event.dataTransfer.items]).catch(failed);
  });
})();
