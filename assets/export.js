/* The export menu: the server lays figures out and the browser draws them. Pictures are saved, copied, or sent back to
   the server, which puts them into a deck or a ZIP. */
(function () {
  "use strict";

  const chosen = { layout: "slide", theme: "screen" };
  const SVG = "image/svg+xml";

  const status = () => document.getElementById("export-status");
  const plotOnScreen = () => document.querySelector(".shows-graph #graph .js-plotly-plot");
  const slug = () => window.location.pathname.replace(/^\/+|\/+$/g, "").toLowerCase() || "overview";

  function tell(text, failed) {
    status().textContent = text;
    status().classList.toggle("failed", Boolean(failed));
  }

  function theme() {
    return chosen.theme === "screen" ? document.documentElement.getAttribute("data-bs-theme") : chosen.theme;
  }

  function address(path, more) {
    const params = new URLSearchParams(window.location.search);
    Object.entries(Object.assign({ theme: theme() }, more)).forEach(([key, value]) => params.set(key, value));
    return "/export/" + path + "?" + params;
  }

  async function ask(path, more, options) {
    const answer = await fetch(address(path, more), options);
    if (!answer.ok) throw new Error((await answer.text()).slice(0, 300));
    return answer;
  }

  function save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    tell("Saved " + name);
  }

  async function saveAnswer(answer) {
    const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition"))[1];
    save(await answer.blob(), name);
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

  function render(picture, format, times) {
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
    save(await toBlob(picture, format, times), picture.filename + (times > 1 ? "@" + times + "x" : "") + "." + format);
  }

  /* The server makes the PDF of the drawing: text stays text, and lines stay lines. */
  async function savePdf() {
    const picture = await pictureOnScreen();
    const body = new FormData();
    body.append(picture.slug, await toBlob(picture, "svg", 1), picture.slug + ".svg");
    await saveAnswer(await ask("picture.pdf", {}, { method: "POST", body: body }));
  }

  /* A button may name a frame; else it is the view's. */
  async function saveData(button, form) {
    await saveAnswer(await ask("data/" + (button.dataset.frame || slug()) + "." + form));
  }

  /* Browsers allow writing to the clipboard only during the click, so pass it a promise. */
  async function copyPicture() {
    if (!navigator.clipboard || !window.ClipboardItem) throw new Error("This browser does not allow copying pictures");
    const blob = pictureOnScreen().then((picture) => toBlob(picture, "png", 2));
    await navigator.clipboard.write([new window.ClipboardItem({ "image/png": blob })]);
    tell("Copied the picture");
  }

  async function saveTogether(form, more) {
    const layout = form === "zip" ? "slide" : "body";
    const format = form === "pdf" ? "svg" : "png";
    const pictures = await (await ask("pictures", { layout: layout })).json();
    const body = new FormData();
    for (const [index, picture] of pictures.entries()) {
      tell("Drawing " + (index + 1) + " of " + pictures.length);
      body.append(picture.slug, await toBlob(picture, format, form === "pptx" ? 1.5 : 1), picture.slug + "." + format);
    }
    tell("Assembling the file");
    await saveAnswer(await ask("comparison." + form, more, { method: "POST", body: body }));
  }

  const ACTIONS = {
    "png-1": () => savePicture("png", 1),
    "png-2": () => savePicture("png", 2),
    "png-4": () => savePicture("png", 4),
    svg: () => savePicture("svg", 1),
    pdf: savePdf,
    copy: copyPicture,
    csv: (button) => saveData(button, "csv"),
    parquet: (button) => saveData(button, "parquet"),
    pptx: () => saveTogether("pptx", {}),
    "pptx-editable": () => saveTogether("pptx", { editable: "1" }),
    "pdf-slides": () => saveTogether("pdf", {}),
    zip: () => saveTogether("zip", {}),
    html: async () => saveAnswer(await ask("report.html")),
    md: async () => saveAnswer(await ask("report.md")),
  };
  let running = false;

  async function act(button) {
    const needsView = button.closest(".needs-view");
    if (needsView && !plotOnScreen()) return tell("This page has no chart: open one of the views first", true);
    if (running) return undefined;
    running = true;
    tell("Working…");
    try {
      await ACTIONS[button.dataset.export](button);
    } catch (error) {
      tell(error.message, true);
    }
    running = false;
    return undefined;
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
