/* The plot: what pointing at it means, and how an answer of the server is drawn. */
(function () {
  "use strict";

  const { change, put, toggle } = window.address;
  const none = () => window.dash_clientside.no_update;

  /* The plot belongs to this script, not to React: an answer is drawn without waiting for Dash's components. */
  const holder = document.createElement("div");
  const plot = document.createElement("div");
  holder.id = "graph";
  holder.className = "dash-graph";
  holder.append(plot);

  /* What the drawing on screen says about itself, and what of it stands there already. */
  let shown = { slug: "", pick: "variant", methods: [] };
  const settings = JSON.parse(document.getElementById("plot-settings").textContent);
  const NOTHING = { serial: -1, key: "", theme: "" };
  let standing = NOTHING;
  let answers = 0;

  function clicked(data) {
    /* Panels of experts, which have very many cells, say once per panel what a click on any of them selects. */
    const parts = (item) => (item.data.meta?.role ? [item.data.meta.variant_id, item.x, item.data.meta.role] : item.customdata);
    const chosen = (data.points || []).map(parts).find(Array.isArray);
    if (chosen) choose(chosen);
  }

  /* What a click on a point does: a variant, followed by its bin, or by its layer and role. */
  function choose([variant, first, second]) {
    change((params) => {
      if (shown.pick === "bin") return toggle(params, "bin", String(first));
      if (shown.pick !== "layer") return toggle(params, "pick", String(variant));
      const same = params.getAll("layer").join() === String(first) && params.getAll("role").join() === String(second);
      put(params, "layer", same ? [] : [String(first)]);
      put(params, "role", same ? [] : [String(second)]);
    });
  }

  /* Only what a hand drew carries its outline: Plotly says so again, empty, when the outline is cleared. */
  function lassoed(data) {
    if (!data || !(data.range || data.lassoPoints)) return;
    const ids = data.points.map((point) => (Array.isArray(point.customdata) ? String(point.customdata[0]) : ""));
    change((params) => put(params, "pick", [...new Set(ids.filter(Boolean))].sort()));
  }

  function chooseMethod(method, alone) {
    change((params) => {
      const chosen = params.getAll("method");
      const drawn = chosen.length ? chosen : shown.methods;
      const kept = drawn.includes(method) ? drawn.filter((item) => item !== method) : [...drawn, method];
      const next = alone ? [method] : kept.length === shown.methods.length ? [] : kept;
      put(params, "method", next.sort());
    });
  }

  let nameTimer = 0;

  /* A click waits for whether it is half of a double click: only one of the two asks the server. */
  function nameClicked(meta, alone) {
    const choose = (key, value) => change((params) => (alone ? put(params, key, [value]) : toggle(params, key, value)));
    window.clearTimeout(nameTimer);
    nameTimer = window.setTimeout(() => {
      if (meta.bin !== undefined) choose("bin", String(meta.bin));
      else if (meta.variant_id) choose("pick", meta.variant_id);
      else if (shown.methods.includes(meta.method)) chooseMethod(meta.method, alone);
    }, alone ? 0 : plot._context.doubleClickDelay);
    return false;
  }

  const legendClicked = (data, alone) => nameClicked(data.data[data.curveNumber].meta || {}, alone);

  /* A method's name at the end of its line acts like its entry in a legend. */
  const annotationClicked = (data) => nameClicked({ method: data.annotation.name }, data.event.detail > 1);

  function listen() {
    plot.dataset.listening = "yes";
    plot.on("plotly_click", clicked);
    plot.on("plotly_afterplot", () => window.walk?.redrawn());
    plot.on("plotly_doubleclick", unzoom);
    plot.on("plotly_selected", lassoed);
    plot.on("plotly_deselect", () => change((params) => params.delete("pick")));
    plot.on("plotly_legendclick", (data) => legendClicked(data, false));
    plot.on("plotly_afterplot", () => document.dispatchEvent(new CustomEvent("plot-drawn", { detail: plot })));
    plot.on("plotly_legenddoubleclick", (data) => legendClicked(data, true));
    plot.on("plotly_clickannotation", annotationClicked);
    plot.on("plotly_afterplot", () => window.labels.fit(plot));
    new ResizeObserver(() => window.requestAnimationFrame(fit)).observe(holder);
    window.narrow.onTurn(turned);
    window.walk?.redrawn();
  }

  /* The other form of a chart is drawn anew: of a bar of colours that turns, Plotly would leave parts behind. It is
     emptied at its new size, because a legend that is drawn at the old one first would stay where that one ended. */
  async function turned() {
    if (!shown.figure) return;
    window.room.release(switches());
    window.narrow.fitted(shown.figure.layout);
    await window.Plotly.react(plot, [], { autosize: true });
    paint(shown, theme());
  }

  /* Only another size needs another drawing. */
  function fit() {
    const drawn = plot._fullLayout;
    const { width, height } = plot.getBoundingClientRect();
    if (!drawn || !width || !height) return;
    if (Math.abs(drawn.width - width) < 1 && Math.abs(drawn.height - height) < 1) return;
    if (Math.abs(drawn.width - width) >= 1) window.room.release(switches());
    window.Plotly.relayout(plot, { autosize: true });
  }

  /* What restores the ranges that a hand has changed: plotly keeps those that were drawn. */
  function zoomed() {
    const changes = {};
    const before = plot._fullLayout?._preGUI || {};
    const now = (path) => path.split(".").reduce((part, key) => part && part[key], plot._fullLayout);
    Object.keys(before).filter((key) => key.endsWith(".range[0]")).forEach((key) => {
      const path = key.slice(0, -3);
      const drawn = [before[key], before[path + "[1]"]];
      const axis = path.slice(0, -".range".length);
      if (drawn.includes(null)) {
        if (now(axis).autorange === false) changes[axis + ".autorange"] = true;
      } else if (drawn.some((end, index) => end !== now(path)[index])) changes[path] = drawn;
    });
    Object.keys(before).filter((key) => key.endsWith(".rotation")).forEach((key) => {
      if (before[key] !== now(key)) changes[key] = before[key];
    });
    return changes;
  }

  /* Show the whole chart again; return whether it was zoomed. */
  function unzoom() {
    if (!document.querySelector(".shows-graph #graph")) return false;
    const changes = zoomed();
    if (!Object.keys(changes).length) return false;
    window.Plotly.relayout(plot, changes);
    return true;
  }

  /* Resolves when plotly.js has run; a page of text has not asked for it yet. What failed is tried again next time. */
  let coming = null;

  function load(done, failed) {
    const script = document.createElement("script");
    script.src = settings.plotly;
    script.onload = script.onerror = () => {
      script.remove();
      return window.Plotly ? done() : failed(new Error("plotly.js cannot be loaded"));
    };
    document.head.append(script);
  }

  function plotly() {
    if (window.Plotly) return Promise.resolve();
    if (!coming) {
      coming = new Promise(load);
      coming.catch(() => {
        coming = null;
      });
    }
    return coming;
  }

  function figureOf(drawing, theme) {
    const layout = Object.assign({ dragmode: "zoom" }, window.narrow.fitted(drawing.figure.layout), {
      template: settings.templates[theme],
      uirevision: drawing.slug,
      selectionrevision: window.location.search,
      selections: [],
      autosize: true,
      modebar: { remove: drawing.pick === "variant" ? [] : ["lasso2d", "select2d"] },
    });
    return { data: drawing.figure.data, layout: layout };
  }

  /* Plotly's own download has its file name among the settings, and another name there draws everything anew. Its own
     reset restores the ranges of the page that was drawn first. */
  function config() {
    const reset = { name: "reset", title: "Reset axes", icon: window.Plotly.Icons.home, click: unzoom };
    const download = {
      name: "download",
      title: "Download as PNG",
      icon: { width: 24, height: 24, path: "M11 3h2v9l3-3 1.4 1.4L12 15.8 6.6 10.4 8 9l3 3zM4 18h16v2H4z" },
      click: () => window.Plotly.downloadImage(plot, { filename: shown.filename, format: "png", scale: 2 }),
    };
    return Object.assign({}, settings.config, { modeBarButtonsToAdd: [[reset], [download]] });
  }

  /* In Dash's page, or before there is one in the page that it replaces. */
  const place = (name) => document.getElementById(name) || document.querySelector(`#first-page .${name}`);
  const switches = () => place("options").parentElement;

  /* What is moved loses the focus, and a drag that is going on. */
  function settle() {
    const spot = place("graph-place");
    if (holder.parentElement !== spot) spot.append(holder);
  }

  const problem = document.createElement("p");
  problem.className = "plot-problem";
  problem.setAttribute("role", "alert");
  problem.textContent = "The chart cannot be drawn, because plotly.js cannot be loaded. Is the server still running?";

  function paint(drawing, theme) {
    shown = drawing;
    standing = { serial: drawing.serial, key: drawing.key, theme: theme };
    settle();
    if (!window.Plotly) {
      return plotly().then(
        () => shown === drawing && paint(drawing, theme),
        () => holder.prepend(problem)
      );
    }
    problem.remove();
    const figure = figureOf(drawing, theme);
    if (plot.layout) return window.Plotly.react(plot, figure.data, figure.layout);
    const drawn = window.Plotly.newPlot(plot, figure.data, figure.layout, config());
    listen();
    window.labels.fit(plot);
    return drawn;
  }

  const theme = () => document.documentElement.getAttribute("data-bs-theme");

  /* Whether this answer is to the address that is there now: a later one may have overtaken it. */
  function isCurrent(request) {
    const asked = Object.fromEntries(request.inputs.flat().map((input) => [input.property, input.value]));
    return asked.pathname === window.location.pathname && asked.search === window.location.search;
  }

  /* The plot is drawn as soon as the answer is there, ahead of the texts around it. The heading comes with it, because
     its lines decide how much room is left. */
  function drawAtOnce(request, response) {
    const drawing = response && response.drawing && response.drawing.data;
    if (!drawing) {
      window.room.release(switches());
      return undefined;
    }
    drawing.serial = answers += 1;
    if (!isCurrent(request)) return undefined;
    ["eyebrow", "title", "unknown", "picked"].forEach((name) => {
      const text = response[name] && response[name].children;
      if (typeof text === "string") place(name).textContent = text;
    });
    if (response.stage) place("stage").className = response.stage.className;
    if (response.caption) window.room.caption(place("caption"), response.caption.children);
    if (response.options) window.room.reserve(switches(), response.options.children);
    settle();
    if (drawing.key !== standing.key || !window.Plotly) return paint(drawing, theme());
    standing.serial = drawing.serial;
    return undefined;
  }

  /* For the renderer's hook: what goes wrong here must not keep the answer from Dash, whose callback then draws. */
  function answered(request, response) {
    try {
      drawAtOnce(request, response);
    } catch (error) {
      standing = NOTHING;
      window.console.error(error);
    }
    document.getElementById("first-page")?.remove();
  }

  /* Dash may come with an answer that another one, drawn at once, has followed. */
  function isDrawn(drawing, theme) {
    if (drawing.serial !== standing.serial) return drawing.serial < standing.serial;
    return drawing.key === standing.key && theme === standing.theme;
  }

  /* The first plot does not wait for Dash: it asks for itself, and moves with Dash's first answer. */
  async function first() {
    const { pathname, search } = window.location;
    if (!settings.views.includes(pathname.replace(/^\/+|\/+$/g, "").toLowerCase() || "overview")) return;
    plotly().catch(() => {});
    const inputs = Object.entries({ pathname, search }).map(([property, value]) => ({ property, value }));
    const response = await (await window.fetch("/first-drawing" + pathname + search)).json();
    if (!answers) await drawAtOnce({ inputs: inputs }, response);
  }

  window.plot = { node: plot, choose: choose, unzoom: unzoom, answered: answered, fetch: plotly, first: first };
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    plot: {
      draw: function (drawing, theme) {
        if (drawing && theme && !isDrawn(drawing, theme)) paint(drawing, theme);
        return none();
      },
    },
  });
})();
