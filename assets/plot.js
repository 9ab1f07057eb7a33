/* The plot: what pointing at it means, and how an answer of the server is drawn. */
(function () {
  "use strict";

  const { change, put, toggle } = window.address;
  const none = () => window.dash_clientside.no_update;
  const element = () => document.querySelector("#graph .js-plotly-plot");

  /* What the drawing on screen says about itself, and what of it stands there already. */
  let shown = { slug: "", pick: "variant", methods: [] };
  let templates = null;
  let standing = { serial: 0, theme: "" };
  let answers = 0;

  function clicked(data) {
    const point = (data.points || []).find((item) => Array.isArray(item.customdata));
    if (!point) return;
    const [variant, first, second] = point.customdata;
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

  let legendTimer = 0;

  function legendClicked(data, alone) {
    const trace = data.data[data.curveNumber];
    const meta = trace.meta || {};
    const method = [trace.name, trace.legendgroup].find((name) => shown.methods.includes(name));
    window.clearTimeout(legendTimer);
    /* The second click of a double click arrives just before the double click itself. */
    legendTimer = window.setTimeout(() => {
      if (meta.bin !== undefined) change((params) => toggle(params, "bin", String(meta.bin)));
      else if (meta.variant_id) change((params) => toggle(params, "pick", meta.variant_id));
      else if (method) chooseMethod(method, alone);
    }, 0);
    return false;
  }

  function listen() {
    const plot = element();
    if (!plot || !plot.on) return window.requestAnimationFrame(listen);
    if (plot.dataset.listening) return undefined;
    plot.dataset.listening = "yes";
    plot.on("plotly_click", clicked);
    plot.on("plotly_selected", lassoed);
    plot.on("plotly_deselect", () => change((params) => params.delete("pick")));
    plot.on("plotly_legendclick", (data) => legendClicked(data, false));
    plot.on("plotly_legenddoubleclick", (data) => legendClicked(data, true));
    window.Plotly.Plots.resize = (graph) => {
      window.setTimeout(() => fit(graph), 100);
      return Promise.resolve(graph);
    };
    return undefined;
  }

  /* Dash asks for a resize after every answer, which draws everything again: only another size needs that. */
  function fit(plot) {
    const drawn = plot._fullLayout;
    if (!drawn || !plot.clientWidth || !plot.clientHeight) return;
    if (Math.abs(drawn.width - plot.clientWidth) < 1 && Math.abs(drawn.height - plot.clientHeight) < 1) return;
    window.Plotly.relayout(plot, { autosize: true });
  }

  /* On a page of text plotly.js comes after the text, for the view that is likely to follow. */
  function fetchPlotly(plots) {
    if (plots || window.Plotly || document.getElementById("plotly")) return;
    const script = document.createElement("script");
    script.id = "plotly";
    script.src = "/_dash-component-suites/plotly/package_data/plotly.min.js";
    window.setTimeout(() => document.head.append(script), 300);
  }

  function takeTemplates(all) {
    templates = all;
  }

  function figureOf(drawing, theme) {
    const layout = Object.assign({ dragmode: "zoom" }, drawing.figure.layout, {
      template: templates[theme],
      uirevision: drawing.slug,
      selectionrevision: window.location.search,
      selections: [],
      autosize: true,
      modebar: { remove: drawing.pick === "variant" ? [] : ["lasso2d", "select2d"] },
    });
    return { data: drawing.figure.data, layout: layout };
  }

  /* Plotly's own button has its file name among the settings, and another name there draws everything anew. */
  function settings(config) {
    const download = {
      name: "download",
      title: "Download as PNG",
      icon: { width: 24, height: 24, path: "M11 3h2v9l3-3 1.4 1.4L12 15.8 6.6 10.4 8 9l3 3zM4 18h16v2H4z" },
      click: (plot) => window.Plotly.downloadImage(plot, { filename: shown.filename, format: "png", scale: 2 }),
    };
    return Object.assign({}, config, { modeBarButtonsToAdd: [download] });
  }

  const theme = () => document.documentElement.getAttribute("data-bs-theme");

  /* Whether this answer is to the address that is there now: a later one may have overtaken it. */
  function isCurrent(request) {
    const asked = Object.fromEntries(request.inputs.flat().map((input) => [input.property, input.value]));
    return asked.pathname === window.location.pathname && asked.search === window.location.search;
  }

  /* The plot is drawn as soon as the answer is there, ahead of the texts around it. The heading comes with it, because
     its lines decide how much room is left. A graph that comes with the answer gets its figure, not an empty one first.
     When anything is missing, Dash draws. */
  function drawAtOnce(request, response) {
    const drawing = response && response.drawing && response.drawing.data;
    const plot = element();
    const graph = response && response["graph-place"] && response["graph-place"].children;
    if (!drawing || !templates || !isCurrent(request) || !(graph || (plot && plot.layout))) return;
    drawing.serial = answers += 1;
    shown = drawing;
    standing = { serial: drawing.serial, theme: theme() };
    const figure = figureOf(drawing, standing.theme);
    if (graph) return Object.assign(graph.props, { figure: figure, config: settings(graph.props.config) });
    ["eyebrow", "title", "caption"].forEach((name) => {
      const text = response[name] && response[name].children;
      if (typeof text === "string") document.getElementById(name).textContent = text;
    });
    document.getElementById("stage").className = response.stage.className;
    return window.Plotly.react(plot, figure.data, figure.layout);
  }

  /* For the renderer's hook: what goes wrong here must not keep the answer from Dash. */
  function answered(request, response) {
    try {
      drawAtOnce(request, response);
    } catch (error) {
      standing = { serial: 0, theme: "" };
      window.console.error(error);
    }
  }

  window.plot = { answered: answered, fetchPlotly: fetchPlotly, takeTemplates: takeTemplates };
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    plot: {
      draw: function (drawing, theme, config) {
        if (!drawing || !theme) return [none(), none()];
        listen();
        /* Dash may come with an answer that another one, drawn at once, has followed. */
        const older = drawing.serial < standing.serial;
        const same = drawing.serial === standing.serial && theme === standing.theme;
        if (older || (drawing.serial && same)) return [none(), none()];
        shown = drawing;
        standing = { serial: drawing.serial, theme: theme };
        return [figureOf(drawing, theme), config.modeBarButtonsToAdd ? none() : settings(config)];
      },
    },
  });
})();
