/* The export menu: the server lays figures out and the browser draws them. Pictures are saved, copied, or sent back to
   the server, which puts them into a deck or a ZIP. */
(function () {
  "use strict";

  const chosen = { layout: "slide", theme: "screen" };
  const SVG = "image/svg+xml";

  const plotOnScreen = () => document.querySelector(".shows-graph #graph .js-plotly-plot");
  const onScreen = () => document.documentElement.getAttribute("data-bs-theme");

  /* What is exported, read once at the click: while pictures are drawn, the page may go on to another selection. */
  function whatIsShown() {
    const plot = plotOnScreen();
    return {
      slug: window.location.pathname.replace(/^\/+|\/+$/g, "").toLowerCase() || "overview",
      search: window.location.search,
      theme: chosen.theme === "screen" ? onScreen() : chosen.theme,
      layout: chosen.layout,
      zoom: plot ? zoomOf(plot.layout) : {},
      box: plot ? plot.getBoundingClientRect() : null,
    };
  }

  function zoomOf(layout) {
    const zoomed = (axis) => axis && axis.range && axis.autorange !== true;
    const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key) && zoomed(layout[key]));
    return Object.fromEntries(axes.map((key) => [key, layout[key].range.slice()]));
  }

  function ask(shown, path, more, options) {
    const params = new URLSearchParams(shown.search);
    Object.entries(Object.assign({ theme: shown.theme }, more)).forEach(([key, value]) => params.set(key, value));
    return window.said.ask("/export/" + path + "?" + params, options);
  }

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

  /* The view's figure with its size and the screen's zoom; at scale 1, a slide's is 1280 pixels wide. */
  async function pictureOf(shown) {
    const layout = shown.layout === "slide" ? "slide" : "body";
    const [picture] = await (await ask(shown, "picture/" + shown.slug, { layout: layout })).json();
    const axes = picture.figure.layout;
    Object.entries(shown.zoom).filter(([key]) => key in axes).forEach(([key, range]) => {
      axes[key] = Object.assign({}, axes[key], { range: range, autorange: false });
    });
    if (shown.layout !== "slide") {
      const size = { width: Math.round(shown.box.width), height: Math.round(shown.box.height), scale: 1 };
      Object.assign(picture, size);
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

  async function savePicture(shown, format, times) {
    const picture = await pictureOf(shown);
    return save(await toBlob(picture, format, times), picture.filename + (times > 1 ? "@" + times + "x" : "") + "." + format);
  }

  /* The server makes the PDF of the drawing: text stays text, and lines stay lines. */
  async function savePdf(shown) {
    const picture = await pictureOf(shown);
    const body = new FormData();
    body.append(picture.slug, await toBlob(picture, "svg", 1), picture.slug + ".svg");
    return saveAnswer(await ask(shown, "picture.pdf", {}, { method: "POST", body: body }));
  }

  /* A button may name a frame; else it is the view's. */
  async function saveData(shown, button, form) {
    return saveAnswer(await ask(shown, "data/" + (button.dataset.frame || shown.slug) + "." + form));
  }

  /* Browsers allow writing to the clipboard only during the click, so pass it a promise. */
  async function copyPicture(shown) {
    if (!navigator.clipboard || !window.ClipboardItem) throw new Error("This browser does not allow copying pictures");
    const blob = pictureOf(shown).then((picture) => toBlob(picture, "png", 2));
    await navigator.clipboard.write([new window.ClipboardItem({ "image/png": blob })]);
    return "Copied the picture";
  }

  async function saveTogether(shown, form, more) {
    const layout = form === "zip" ? "slide" : "body";
    const format = form === "pdf" ? "svg" : "png";
    const pictures = await (await ask(shown, "pictures", { layout: layout })).json();
    const body = new FormData();
    for (const [index, picture] of pictures.entries()) {
      window.said.during(`Drawing the slides: ${index + 1} of ${pictures.length}`);
      body.append(picture.slug, await toBlob(picture, format, form === "pptx" ? 1.5 : 1), picture.slug + "." + format);
    }
    window.said.during("Putting the file together…");
    return saveAnswer(await ask(shown, "comparison." + form, more, { method: "POST", body: body }));
  }

  const PICTURE = "Drawing the picture…";
  const DATA = "Gathering the data…";
  const SLIDES = "Drawing the slides…";
  /* By key: what to say at once, and what to do; it returns what to say at the end. */
  const ACTIONS = {
    "png-1": [PICTURE, (shown) => savePicture(shown, "png", 1)],
    "png-2": [PICTURE, (shown) => savePicture(shown, "png", 2)],
    "png-4": [PICTURE, (shown) => savePicture(shown, "png", 4)],
    svg: [PICTURE, (shown) => savePicture(shown, "svg", 1)],
    pdf: [PICTURE, savePdf],
    copy: [PICTURE, copyPicture],
    csv: [DATA, (shown, button) => saveData(shown, button, "csv")],
    parquet: [DATA, (shown, button) => saveData(shown, button, "parquet")],
    pptx: [SLIDES, (shown) => saveTogether(shown, "pptx", {})],
    "pptx-editable": [SLIDES, (shown) => saveTogether(shown, "pptx", { editable: "1" })],
    "pdf-slides": [SLIDES, (shown) => saveTogether(shown, "pdf", {})],
    zip: [SLIDES, (shown) => saveTogether(shown, "zip", {})],
    html: ["Drawing all views…", async (shown) => saveAnswer(await ask(shown, "report.html"))],
    md: ["Writing the report…", async (shown) => saveAnswer(await ask(shown, "report.md"))],
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
      window.said.end(await make(whatIsShown(), button));
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
