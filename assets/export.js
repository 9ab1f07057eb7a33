/* The export menu: the server lays figures out and the browser draws them. Pictures are saved, copied, or sent back to
   the server, which puts them into a deck or a ZIP. */
(function () {
  "use strict";

  const chosen = { layout: "slide", theme: "screen" };
  const SVG = "image/svg+xml";

  const plotOnScreen = () => document.querySelector(".shows-graph #graph .js-plotly-plot");
  const slug = () => window.location.pathname.replace(/^\/+|\/+$/g, "").toLowerCase() || "overview";

  function theme() {
    return chosen.theme === "screen" ? document.documentElement.getAttribute("data-bs-theme") : chosen.theme;
  }

  function address(path, more) {
    const params = new URLSearchParams(window.location.search);
    Object.entries(Object.assign({ theme: theme() }, more)).forEach(([key, value]) => params.set(key, value));
    return "/export/" + path + "?" + params;
  }

  const ask = (path, more, options) => window.said.ask(address(path, more), options);

  /* Hand the browser a file; return what to say about it. */
  function save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    return "Saved " + name;
  }

  async function saveAnswer(answer) {
    const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition"))[1];
    return save(await answer.blob(), name);
  }

  /* Keep the screen's zoom in the picture. */
  function keepZoom(layout) {
    const shown = plotOnScreen().layout;
    Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key)).forEach((key) => {
      if (shown[key] && shown[key].range && shown[key].autorange !== true) {
        layout[key] = Object.assign({}, layout[key], { range: shown[key].range.slice(), autorange: false });
      }
    });
  }

  /* The view's figure with its size; at scale 1, a slide's is 1280 pixels wide. */
  async function pictureOnScreen() {
    const [picture] = await (await ask("picture/" + slug(), { layout: chosen.layout === "slide" ? "slide" : "body" })).json();
    keepZoom(picture.figure.layout);
    if (chosen.layout !== "slide") {
      const box = plotOnScreen().getBoundingClientRect();
      Object.assign(picture, { width: Math.round(box.width), height: Math.round(box.height), scale: 1 });
    }
    return picture;
  }

  async function render(picture, format, times) {
    await window.plot.fetch();
    const size = { width: picture.width, height: picture.height, scale: picture.scale * times };
    return window.Plotly.toImage(picture.figure, Object.assign({ format: format }, size));
  }

  async function toBlob(picture, format, times) {
    const text = await render(picture, format, times);
    if (format !== "svg") return (await fetch(text)).blob();
    return new Blob([withPlainLines(decodeURIComponent(text.slice(text.indexOf(",") + 1)))], { type: SVG });
  }

  /* Some programs ignore a dy in em next to a y, and so cut titles off or print all lines over each other: give each
     line its own y. The dy of a text that contains lines has no effect, theirs override it. */
  function withPlainLines(text) {
    const svg = new DOMParser().parseFromString(text, SVG);
    svg.querySelectorAll("text[dy$=em][y], tspan.line[dy$=em][y]").forEach((line) => {
      const size = parseFloat(line.closest("text").style.fontSize);
      const shift = line.querySelector("tspan.line") ? 0 : size * parseFloat(line.getAttribute("dy"));
      line.setAttribute("y", parseFloat(line.getAttribute("y")) + shift);
      line.setAttribute("dy", "0");
    });
    return new XMLSerializer().serializeToString(svg);
  }

  async function savePicture(format, times) {
    const picture = await pictureOnScreen();
    return save(await toBlob(picture, format, times), picture.filename + (times > 1 ? "@" + times + "x" : "") + "." + format);
  }

  /* The server makes the PDF of the drawing: text stays text, and lines stay lines. */
  async function savePdf() {
    const picture = await pictureOnScreen();
    const body = new FormData();
    body.append(picture.slug, await toBlob(picture, "svg", 1), picture.slug + ".svg");
    return saveAnswer(await ask("picture.pdf", {}, { method: "POST", body: body }));
  }

  /* A button may name a frame; else it is the view's. */
  async function saveData(button, form) {
    return saveAnswer(await ask("data/" + (button.dataset.frame || slug()) + "." + form));
  }

  /* Browsers allow writing to the clipboard only during the click, so pass it a promise. */
  async function copyPicture() {
    if (!navigator.clipboard || !window.ClipboardItem) throw new Error("This browser does not allow copying pictures");
    const blob = pictureOnScreen().then((picture) => toBlob(picture, "png", 2));
    await navigator.clipboard.write([new window.ClipboardItem({ "image/png": blob })]);
    return "Copied the picture";
  }

  async function saveTogether(form, more) {
    const layout = form === "zip" ? "slide" : "body";
    const format = form === "pdf" ? "svg" : "png";
    const pictures = await (await ask("pictures", { layout: layout })).json();
    const body = new FormData();
    for (const [index, picture] of pictures.entries()) {
      window.said.during(`Drawing the slides: ${index + 1} of ${pictures.length}`);
      body.append(picture.slug, await toBlob(picture, format, form === "pptx" ? 1.5 : 1), picture.slug + "." + format);
    }
    window.said.during("Putting the file together…");
    return saveAnswer(await ask("comparison." + form, more, { method: "POST", body: body }));
  }

  const PICTURE = "Drawing the picture…";
  const DATA = "Gathering the data…";
  const SLIDES = "Drawing the slides…";
  /* By key: what to say at once, and what to do; it returns what to say at the end. */
  const ACTIONS = {
    "png-1": [PICTURE, () => savePicture("png", 1)],
    "png-2": [PICTURE, () => savePicture("png", 2)],
    "png-4": [PICTURE, () => savePicture("png", 4)],
    svg: [PICTURE, () => savePicture("svg", 1)],
    pdf: [PICTURE, savePdf],
    copy: [PICTURE, copyPicture],
    csv: [DATA, (button) => saveData(button, "csv")],
    parquet: [DATA, (button) => saveData(button, "parquet")],
    pptx: [SLIDES, () => saveTogether("pptx", {})],
    "pptx-editable": [SLIDES, () => saveTogether("pptx", { editable: "1" })],
    "pdf-slides": [SLIDES, () => saveTogether("pdf", {})],
    zip: [SLIDES, () => saveTogether("zip", {})],
    html: ["Drawing all views…", async () => saveAnswer(await ask("report.html"))],
    md: ["Writing the report…", async () => saveAnswer(await ask("report.md"))],
  };
  let running = false;

  /* One export at a time: while it runs, its button is marked and no other starts one. */
  async function act(button) {
    if (running) return;
    if (button.closest(".needs-view") && !plotOnScreen()) {
      window.said.say("This page has no chart: open one of the views first", true);
      return;
    }
    const [announced, make] = ACTIONS[button.dataset.export];
    running = true;
    mark(button, true);
    window.said.during(announced);
    try {
      window.said.end(await make(button));
    } catch (error) {
      window.said.end("The export failed: " + (error.message || error), true);
    }
    running = false;
    mark(button, false);
  }

  function mark(button, busy) {
    button.setAttribute("aria-busy", String(busy));
    document.querySelectorAll("[data-export]").forEach((each) => each.setAttribute("aria-disabled", String(busy)));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("[data-export], [data-set]");
    if (!button) return;
    if (button.dataset.export) act(button);
    if (button.dataset.set) {
      chosen[button.dataset.set] = button.dataset.value;
      button.parentElement.querySelectorAll("[data-set]").forEach((other) => {
        other.classList.toggle("chosen", other === button);
        other.setAttribute("aria-pressed", String(other === button));
      });
    }
  });
})();
