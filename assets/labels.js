/* Texts at points: the server places them for a plot of a middling size. In a smaller one, names of methods give way to
   each other, what the title names, in bold, moves to where it can be read, and labels that would lie on another text
   or leave the chart are hidden, the least important first. */
(function () {
  "use strict";

  /* Pixels by which a name moves across and down, in the order of trial. */
  const MOVES = [0, 60, -60, 120].flatMap((x) => [0, 14, -14, 28, -28, 42, -42, 56, -56].map((y) => [x, y]));
  /* The same for what the title names, the nearest first. */
  const SHIFTS = [0, 20, -20, 40, -40, 60, -60, 90, -90, 120, -120]
    .flatMap((x) => [0, 13, -13, 26, -26, 40, -40, 56, -56, 80, -80].map((y) => [x, y]))
    .sort((a, b) => Math.hypot(...a) - Math.hypot(...b));
  /* Pixels from a point to a moved text from which a thin line joins them, and from the point to the line. */
  const [FAR, CLEAR] = [20, 8];
  const TITLES = ".g-xtitle, .g-ytitle, .g-y2title";
  const box = (element) => element.getBoundingClientRect();
  const covers = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const isWithin = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
  const isBold = (label) => Boolean(label.querySelector("tspan[style*='bold']"));
  const textOf = (group) => group.querySelector(".annotation-text-g");
  const moved = ({ left, right, top, bottom }, [x, y]) => ({ left: left + x, right: right + x, top: top + y, bottom: bottom + y });

  /* The groups of annotations by what they are. */
  function annotations(plot) {
    const kinds = { name: [], label: [], other: [] };
    plot.querySelectorAll(".annotation").forEach((group) => {
      const { captureevents, name } = plot._fullLayout.annotations[group.dataset.index] || {};
      kinds[captureevents ? "name" : name === "label" ? "label" : "other"].push(group);
    });
    return kinds;
  }

  /* Move what stays into the chart, if it sticks out at a side; return where it is. */
  function inside(element, text, chart) {
    const place = box(text);
    const x = Math.max(chart.left - place.left, 0) || Math.min(chart.right - place.right, 0);
    element.style.translate = x ? `${x}px 0` : "";
    return moved(place, [x, 0]);
  }

  /* The point that an annotation belongs to, in the plot's pixels; none of a text that has its place in the plot. */
  function pointOf(plot, { xref, yref, xanchor, x, y, standoff }) {
    const [across, up] = [xref, yref].map((name) => plot._fullLayout[name.replace(/^[xy]/, "$&axis")]);
    if (xanchor !== "center" || !across || !up) return null;
    return { x: across._offset + across.r2p(x), y: up._offset + up.r2p(y), clear: Math.max(standoff || 0, CLEAR) };
  }

  /* Plotly's thin line would end where the text was: a text that has moved away gets another, if it is far off. */
  function shift(plot, group, [x, y]) {
    textOf(group).style.translate = x || y ? `${x}px ${y}px` : "";
    const own = group.querySelector(".annotation-arrow-g");
    if (own) own.style.visibility = x || y ? "hidden" : "";
    group.querySelector(".moved-line")?.remove();
    const point = (x || y) && pointOf(plot, plot._fullLayout.annotations[group.dataset.index]);
    if (!point) return;
    const [chart, place] = [box(plot), box(textOf(group))];
    const end = [
      Math.min(Math.max(point.x, place.left - chart.left), place.right - chart.left),
      Math.min(Math.max(point.y, place.top - chart.top), place.bottom - chart.top),
    ];
    const far = Math.hypot(end[0] - point.x, end[1] - point.y);
    if (far < Math.max(FAR, point.clear)) return;
    const start = [point.x, point.y].map((from, way) => from + ((end[way] - from) * point.clear) / far);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const look = { class: "moved-line", d: `M${start}L${end}`, stroke: "rgb(128,140,160)", "stroke-opacity": 0.7, "stroke-width": 0.7 };
    Object.entries(look).forEach(([name, value]) => line.setAttribute(name, value));
    group.prepend(line);
  }

  function fit(plot) {
    const points = [...plot.querySelectorAll(".textpoint text")];
    const groups = annotations(plot);
    [...points, ...groups.label].forEach((label) => (label.style.visibility = ""));
    [...points, ...groups.other].forEach((element) => (element.style.translate = ""));
    [...groups.label, ...groups.name].forEach((group) => shift(plot, group, [0, 0]));
    const chart = box(plot);
    const staying = [...points.filter(isBold).map((text) => [text, text]), ...groups.other.map((group) => [group, textOf(group)])];
    const ticks = plot.querySelectorAll(`.xtick text, .ytick text, .y2tick text, ${TITLES}`);
    const kept = [...staying.map(([element, text]) => inside(element, text, chart)), ...[...ticks].map(box)];
    const isFree = (place) => isWithin(place, chart) && !kept.some((other) => covers(place, other));
    const told = new Set();
    groups.name.forEach((group) => {
      const place = box(textOf(group));
      const move = MOVES.find((one) => isFree(moved(place, one))) || MOVES[0];
      shift(plot, group, move);
      kept.push(moved(place, move));
    });
    const marks = [...plot.querySelectorAll(".scatterlayer .point")].map(box);
    groups.label.filter(isBold).forEach((group) => {
      const place = box(textOf(group));
      const free = SHIFTS.map((one) => [one, moved(place, one)]).filter(([, there]) => isFree(there));
      const [move, there] = free.find(([, one]) => !marks.some((mark) => covers(one, mark))) || free[0] || [];
      if (!move) return;
      shift(plot, group, move);
      kept.push(there);
      told.add(group);
    });
    const plain = points.filter((label) => !isBold(label)).map((label) => [label, box(label), false]);
    const lined = groups.label.filter((group) => !told.has(group)).map((group) => [group, box(textOf(group)), true]);
    const hidden = [...plain, ...lined].filter(([, place, bounded]) => {
      const fits = bounded ? isFree(place) : !kept.some((other) => covers(place, other));
      return !fits || !kept.push(place);
    });
    hidden.forEach(([label]) => (label.style.visibility = "hidden"));
  }

  window.labels = { fit: fit };
})();
