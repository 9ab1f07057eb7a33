/* Present: the slides of the deck, full screen. The server lays them out once for both; here they are drawn. */
(function () {
  "use strict";

  const PX_PER_INCH = 96;
  const PX_PER_POINT = 96 / 72;
  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text || "" });
  let dialog = null;
  let shown = null;
  let asked = null;
  let at = 0;

  function boxed(node, [left, top, width, height]) {
    const edges = { left: left, top: top, width: width, height: height };
    Object.entries(edges).forEach(([edge, inches]) => (node.style[edge] = inches * PX_PER_INCH + "px"));
    return node;
  }

  function words(part, tag) {
    const box = boxed(make("div", "slide-words slide-" + part.anchor), part.box);
    part.lines.forEach((line) => {
      const text = make(tag || "p", "", line.text);
      Object.assign(text.style, {
        fontSize: line.size * PX_PER_POINT + "px",
        marginTop: line.before * PX_PER_POINT + "px",
        fontWeight: line.bold ? 700 : 400,
        color: shown.colours[line.tone],
      });
      box.append(text);
    });
    return box;
  }

  function table(part) {
    const node = boxed(make("table", "slide-table"), part.box);
    node.style.height = "auto";
    node.style.fontSize = part.size * PX_PER_POINT + "px";
    const columns = make("colgroup");
    part.shares.forEach((share) => columns.append(Object.assign(make("col"), { style: `width: ${100 * share}%` })));
    const row = (cells, tag) => {
      const line = make("tr");
      cells.forEach((text, index) => line.append(make(index ? tag : "th", "", text)));
      return line;
    };
    const head = make("thead");
    if (part.heads.length) head.append(row(part.heads, "th"));
    const body = make("tbody");
    part.rows.forEach((cells) => body.append(row(cells, "td")));
    node.append(columns, head, body);
    return node;
  }

  /* Drawn as the exports are. */
  function picture(part) {
    const image = boxed(Object.assign(make("img", "slide-picture"), { alt: part.description }), part.box);
    const drawing = shown.drawings[part.slug];
    const size = { format: "svg", width: drawing.width, height: drawing.height };
    window.plot.fetch().then(() => window.Plotly.toImage(drawing.figure, size)).then((url) => {
      image.src = url;
    });
    return image;
  }

  const DRAW = { words: (part) => words(part), rule: (part) => boxed(make("div", "slide-rule"), part.box), table: table, picture: picture };

  function fit() {
    const [width, height] = [shown.width * PX_PER_INCH, shown.height * PX_PER_INCH];
    const scale = Math.min(window.innerWidth / width, window.innerHeight / height);
    const [left, top] = [(window.innerWidth - width * scale) / 2, (window.innerHeight - height * scale) / 2];
    dialog.firstChild.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
  }

  function turn(to) {
    at = Math.min(Math.max(to, 0), shown.slides.length - 1);
    const slide = shown.slides[at];
    const page = dialog.firstChild;
    page.replaceChildren(words(slide.title, "h2"), ...slide.parts.map((part) => DRAW[part.kind](part)), words(slide.foot));
    page.setAttribute("aria-label", `Slide ${at + 1} of ${shown.slides.length}`);
    dialog.querySelector(".slide-number").textContent = `${at + 1} / ${shown.slides.length}`;
    fit();
  }

  function leave() {
    if (!dialog) return;
    const old = dialog;
    dialog = null;
    if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
    old.close();
    old.remove();
  }

  const STEPS = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, Enter: 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1, Backspace: -1 };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("button")) return;
    if (event.key in STEPS) turn(at + STEPS[event.key]);
    else if (event.key === "Home") turn(0);
    else if (event.key === "End") turn(shown.slides.length - 1);
    else if (event.key.toLowerCase() === "p") leave();
    else return;
    event.preventDefault();
  }

  function button(text, title, act) {
    const node = Object.assign(make("button", "tool", text), { type: "button", title: title });
    node.setAttribute("aria-label", title);
    node.addEventListener("click", act);
    return node;
  }

  function build() {
    dialog = make("dialog", "present");
    dialog.setAttribute("aria-label", "Presentation");
    const page = make("section", "slide");
    page.setAttribute("aria-live", "polite");
    Object.assign(page.style, { width: shown.width * PX_PER_INCH + "px", height: shown.height * PX_PER_INCH + "px" });
    const bar = make("div", "slide-bar");
    bar.append(
      button("‹", "Previous slide (←)", () => turn(at - 1)),
      make("span", "slide-number"),
      button("›", "Next slide (→)", () => turn(at + 1)),
      button("×", "Leave (Esc)", leave)
    );
    dialog.append(page, bar);
    Object.entries(shown.colours).forEach(([name, colour]) => dialog.style.setProperty("--slide-" + name, colour));
    dialog.addEventListener("keydown", pressed);
    dialog.addEventListener("close", leave);
    document.body.append(dialog);
    dialog.showModal();
    dialog.focus();
    page.addEventListener("click", () => turn(at + 1));
  }

  async function open() {
    if (dialog || asked || document.querySelector("dialog[open]")) return;
    const params = new URLSearchParams(window.location.search);
    params.set("theme", document.documentElement.getAttribute("data-bs-theme"));
    asked = new AbortController();
    window.said.during("Drawing the slides… (Escape cancels)");
    try {
      shown = await (await window.said.ask("/export/slides?" + params, { signal: asked.signal })).json();
      window.said.end("");
    } catch (error) {
      const cancelled = error.name === "AbortError";
      return window.said.end("No slides: " + (cancelled ? "cancelled" : error.message), !cancelled);
    } finally {
      asked = null;
    }
    /* The page, because a dialog cannot be full screen itself; a browser may refuse. */
    await document.documentElement.requestFullscreen?.().catch(() => {});
    build();
    turn(0);
  }

  window.addEventListener("resize", () => dialog && fit());
  document.addEventListener("fullscreenchange", () => {
    if (!document.fullscreenElement) leave();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("#present-toggle")) open();
  });

  /* Stop waiting for slides; return whether there was something to wait for. */
  function cancel() {
    if (!asked) return false;
    asked.abort();
    return true;
  }

  window.present = { open: open, cancel: cancel };
})();
