/* Texts at points: the server places them for a plot of a middling size. In a smaller one, names of methods give way to
   each other, what the title names, in bold, moves to where it can be read, and labels that would lie on another text
   or leave the chart are hidden, the least important first. */
(function () {
  "use strict";

  /* Pixels by which a name moves across and down, in the order of trial. */
  const MOVES = [0, 60, -60, 120].flatMap((x) => [0, 14, -14, 28, -28, 42, -42, 56, -56].map((y) => [x, y]));
  /* The same for what the title names, the nearest first; its thin line, which would not end at it, is then left out. */
  const SHIFTS = [0, 20, -20, 40, -40, 60, -60, 90, -90, 120, -120]
    .flatMap((x) => [0, 13, -13, 26, -26, 40, -40, 56, -56, 80, -80].map((y) => [x, y]))
    .sort((a, b) => Math.hypot(...a) - Math.hypot(...b));
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

  function shift(group, [x, y]) {
    textOf(group).style.translate = x || y ? `${x}px ${y}px` : "";
    const line = group.querySelector(".annotation-arrow-g");
    if (line) line.style.visibility = x || y ? "hidden" : "";
  }

  function fit(plot) {
    const points = [...plot.querySelectorAll(".textpoint text")];
    const groups = annotations(plot);
    [...points, ...groups.label].forEach((label) => (label.style.visibility = ""));
    [...points, ...groups.name, ...groups.other].forEach((element) => (element.style.translate = ""));
    groups.label.forEach((group) => shift(group, [0, 0]));
    const chart = box(plot);
    const staying = [...points.filter(isBold).map((text) => [text, text]), ...groups.other.map((group) => [group, textOf(group)])];
    const ticks = plot.querySelectorAll(`.xtick text, .ytick text, .y2tick text, ${TITLES}`);
    const kept = [...staying.map(([element, text]) => inside(element, text, chart)), ...[...ticks].map(box)];
    const isFree = (place) => isWithin(place, chart) && !kept.some((other) => covers(place, other));
    const told = new Set();
    groups.name.forEach((group) => {
      const place = box(textOf(group));
      const move = MOVES.find((one) => isFree(moved(place, one))) || MOVES[0];
      group.style.translate = move.some(Boolean) ? `${move[0]}px ${move[1]}px` : "";
      kept.push(moved(place, move));
    });
    const marks = [...plot.querySelectorAll(".scatterlayer .point")].map(box);
    groups.label.filter(isBold).forEach((group) => {
      const place = box(textOf(group));
      const free = SHIFTS.map((one) => [one, moved(place, one)]).filter(([, there]) => isFree(there));
      const [move, there] = free.find(([, one]) => !marks.some((mark) => covers(one, mark))) || free[0] || [];
      if (!move) return;
      shift(group, move);
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
