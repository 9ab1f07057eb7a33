/* Choose a file or a folder of this machine from a list of names. */
(function () {
  "use strict";

  const { ask, make, button } = window.local;

  let dialog = null;

  function join(folder, name) {
    return folder.replace(/[\\/]$/, "") + (folder.includes("\\") ? "\\" : "/") + name;
  }

  function entry(text, note, onclick) {
    return make("li", {}, make("button", { type: "button", className: "entry", onclick: onclick }, text, make("small", { textContent: note })));
  }

  function build() {
    const place = make("p", { className: "browse-place" });
    const list = make("ul", { className: "browse-list" });
    const whole = button("Use this folder", null);
    const glob = button("All .gguf files here", null);
    const close = button("Cancel", () => dialog.close());
    dialog = make("dialog", { className: "help browse", "aria-label": "Choose on this machine" }, place, list, make("div", { className: "in-row" }, whole, glob, close));
    Object.assign(dialog, { place: place, list: list, whole: whole, glob: glob });
    document.body.append(dialog);
  }

  async function show(folder, wanted, choose) {
    const take = (path) => {
      dialog.close();
      choose(path);
    };
    let seen = null;
    try {
      seen = await ask("browse", { folder: folder, wanted: wanted });
    } catch (error) {
      dialog.place.textContent = error.message;
      return;
    }
    const go = (path) => () => show(path, wanted, choose);
    dialog.place.textContent = seen.folder;
    const entries = seen.parent ? [entry("..", "the folder above", go(seen.parent))] : [];
    seen.folders.forEach((name) => {
      const holds = wanted === "results" && seen.results.includes(name);
      const path = join(seen.folder, name);
      entries.push(entry(name, holds ? "results" : "folder", holds ? () => take(path) : go(path)));
    });
    seen.files.forEach((name) => entries.push(entry(name, "", () => take(join(seen.folder, name)))));
    dialog.list.replaceChildren(...entries);
    dialog.list.scrollTop = 0;
    dialog.whole.hidden = wanted === "text";
    dialog.whole.onclick = () => take(seen.folder);
    dialog.glob.hidden = wanted !== "model" || !seen.files.length;
    dialog.glob.onclick = () => take(join(seen.folder, "*.gguf"));
  }

  /* Ask for a path near `start`; `wanted` is model, text or results. */
  function browse(start, wanted, choose) {
    if (!dialog) build();
    dialog.list.replaceChildren();
    dialog.place.textContent = "…";
    dialog.showModal();
    show(start, wanted, choose);
  }

  window.local.browse = browse;
})();
