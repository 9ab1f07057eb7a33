/* The chart by keyboard: arrow keys go from point to point, with a ring and the hover text, and Enter picks. */
(function () {
  "use strict";

  const byId = (id) => document.getElementById(id);
  const { node: plot } = window.plot;
  const LEAST_PX = 16;
  const AROUND_PX = 8;
  const SHOWN = "#graph .js-plotly-plot";
  const ring = document.createElement("div");
  ring.className = "point-ring";

  /* The point that the ring is on. */
  let at = null;

  const boxOf = (element) => {
    const [box, frame] = [element.getBoundingClientRect(), plot.getBoundingClientRect()];
    return { x: box.x + box.width / 2 - frame.x, y: box.y + box.height / 2 - frame.y, width: box.width, height: box.height };
  };

  function pointOf(trace, index, box, rows) {
    const list = (value) => (Array.isArray(value) && Array.isArray(index) ? value[index[0]]?.[index[1]] : value?.[index]);
    const data = trace.meta?.role ? [trace.meta.variant_id, trace.x[index[1]], trace.meta.role] : list(trace.customdata);
    if (!Array.isArray(data)) return null;
    const key = JSON.stringify([data.slice(0, 3), trace.xaxis, index]);
    return { ...box, key: key, data: data, rows: rows, trace: trace, index: index, subplot: `${trace.xaxis}${trace.yaxis}`, at: list };
  }

  /* Points and bars as they are drawn: their elements carry plotly's data. */
  function marks() {
    return [...plot.querySelectorAll("g.trace")].flatMap((group) => {
      const trace = group.__data__?.[0]?.trace;
      if (!trace || !trace.customdata) return [];
      const bars = trace.type === "bar";
      const drawn = [...group.querySelectorAll(bars ? ".point > path" : "path.point")];
      return drawn.map((path) => {
        const { i } = (bars ? path.parentNode : path).__data__;
        return pointOf(trace, i, boxOf(path), bars);
      });
    });
  }

  /* Cells are an image: their places follow from the axes. */
  function cells() {
    const layout = plot._fullLayout;
    const axis = (name) => layout[name.replace(/^([xy])/, "$1axis")];
    return plot._fullData.filter((trace) => trace.type === "heatmap" && trace.visible === true).flatMap((trace) => {
      const [x, y] = [axis(trace.xaxis), axis(trace.yaxis)];
      const place = (scale, value) => scale._offset + scale.d2p(value);
      return trace.z.flatMap((line, row) => Array.from(line, (value, column) => {
        if (value === null || value === undefined || Number.isNaN(value)) return null;
        const name = (values, index) => (values ? values[index] : index);
        const box = { x: place(x, name(trace.x, column)), y: place(y, name(trace.y, row)), width: 4, height: 4 };
        return pointOf(trace, [row, column], box, true);
      }));
    });
  }

  /* Each point once: the file in the title is drawn again over the others. */
  function once(all) {
    const known = new Set();
    return all.filter(({ data, subplot, x, y }) => {
      const place = JSON.stringify([data.slice(0, 3), subplot, Math.round(x), Math.round(y)]);
      return !known.has(place) && known.add(place);
    });
  }

  /* The point that the ring is on among those now drawn: a file has one per engine, so the nearest. */
  function current(all) {
    const away = (point) => Math.hypot(point.x - at.x, point.y - at.y);
    return all.filter((point) => point.key === at?.key).sort((a, b) => away(a) - away(b))[0];
  }

  /* Scattered points by x; bars and cells row by row; panel by panel. */
  function points() {
    const found = [...marks(), ...cells()].filter((point) => point && Number.isFinite(point.x + point.y));
    const inside = found.filter(({ x, y }) => x >= 0 && y >= 0 && x <= plot.clientWidth && y <= plot.clientHeight);
    const panels = [...new Set(inside.map((point) => point.subplot))];
    const order = (a, b) => {
      if (a.subplot !== b.subplot) return panels.indexOf(a.subplot) - panels.indexOf(b.subplot);
      if (a.rows && Math.abs(a.y - b.y) > 2) return a.y - b.y;
      return a.x - b.x || a.y - b.y;
    };
    return once(inside.sort(order));
  }

  /* The nearest point above or below, in this panel or the next. */
  function beyond(all, down) {
    const ahead = all.filter((point) => (down ? point.y - at.y : at.y - point.y) > 1);
    const cost = (point) => Math.abs(point.y - at.y) + 2 * Math.abs(point.x - at.x);
    return ahead.sort((a, b) => cost(a) - cost(b))[0] || at;
  }

  function plain(text) {
    const holder = document.createElement("div");
    holder.innerHTML = text.replace(/<extra>.*<\/extra>/, "").replace(/<br\s*\/?>/g, ", ");
    return holder.textContent;
  }

  /* What pointing at it says. */
  function told(point) {
    const { trace, index, data } = point;
    const of = (values, place) => (Array.isArray(values) || ArrayBuffer.isView(values) ? values[place] : values);
    const template = trace.hovertemplate;
    if (!template) return plain(String((Array.isArray(trace.hovertext) ? point.at(trace.hovertext) : trace.hovertext) || ""));
    const [row, column] = Array.isArray(index) ? index : [index, index];
    const values = { x: of(trace.x, column), y: of(trace.y, row), text: point.at(trace.text), z: point.at(trace.z) };
    const filled = template.replace(/%\{customdata\[(\d+)\]\}/g, (_, place) => data[place] ?? "");
    return plain(filled.replace(/%\{(x|y|z|text)[^}]*\}/g, (_, name) => values[name] ?? ""));
  }

  /* Show plotly's hover text; it finds cells by their place alone. */
  function hover({ trace, index, subplot, x, y }) {
    const layout = plot._fullLayout;
    const start = (name) => layout[name.replace(/^([xy])/, "$1axis")]._offset;
    const where = Array.isArray(index)
      ? { xpx: x - start(trace.xaxis), ypx: y - start(trace.yaxis) }
      : [{ curveNumber: trace.index, pointNumber: index }];
    window.Plotly.Fx.hover(plot, where, subplot);
  }

  function show(point) {
    at = point;
    const size = Math.max(LEAST_PX, Math.min(40, Math.max(point.width, point.height))) + AROUND_PX;
    Object.assign(ring.style, { left: point.x - size / 2 + "px", top: point.y - size / 2 + "px", width: size + "px", height: size + "px" });
    plot.parentNode.append(ring);
    byId("pointed").textContent = told(point);
    hover(point);
  }

  /* Take the ring away; return whether there was one. */
  function leave() {
    if (!at) return false;
    at = null;
    ring.remove();
    byId("pointed").textContent = "";
    window.Plotly.Fx.unhover(plot);
    return true;
  }

  /* The chart was drawn anew: the ring stays on its point, where that is still drawn. The chart is one stop of Tab;
     its tools are those of a mouse, and + and − zoom here. */
  function redrawn() {
    plot.querySelectorAll(".modebar-btn").forEach((button) => button.setAttribute("tabindex", "-1"));
    if (!at) return;
    const same = current(points());
    if (same) show(same);
    else leave();
  }

  function step(all, key) {
    const index = all.indexOf(current(all));
    if (key === "Home" || (index < 0 && key !== "End")) return all[0];
    if (key === "End") return all[all.length - 1];
    if (key === "ArrowUp" || key === "ArrowDown") return beyond(all, key === "ArrowDown");
    return all[Math.min(Math.max(index + (key === "ArrowRight" ? 1 : -1), 0), all.length - 1)];
  }

  const pressTool = (value) => plot.querySelector(`.modebar-btn[data-attr=zoom][data-val=${value}]`)?.click();

  document.addEventListener("keydown", (event) => {
    if (event.target.id !== "graph-place" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!document.querySelector(SHOWN) || !plot._fullLayout) return;
    if (event.key === "+" || event.key === "-") pressTool(event.key === "+" ? "in" : "out");
    else if (event.key === "Enter" || event.key === " ") {
      if (at) window.plot.choose(at.data);
    } else if (/^(Arrow(Left|Right|Up|Down)|Home|End)$/.test(event.key)) {
      const all = points();
      if (all.length) show(step(all, event.key));
    } else return;
    event.preventDefault();
  });

  document.addEventListener("focusout", (event) => {
    if (event.target.id === "graph-place") leave();
  });

  document.addEventListener("click", (event) => {
    if (!event.target.closest("#skip")) return;
    byId(byId("stage").classList.contains("shows-graph") ? "graph-place" : "body").focus();
  });

  window.walk = { leave: leave, redrawn: redrawn };
  redrawn();
})();
