/* Labels of points: the server places them for a plot of a middling size; in a smaller one, those that would lie on
   another text are hidden. What the title names, in bold, stays. */
(function () {
  "use strict";

  const covers = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const isBold = (label) => Boolean(label.querySelector("tspan[style*='bold']"));

  function fit(plot) {
    const labels = [...plot.querySelectorAll(".textpoint text")];
    if (!labels.length) return;
    labels.forEach((label) => (label.style.visibility = ""));
    const box = (element) => element.getBoundingClientRect();
    const plain = labels.filter((label) => !isBold(label)).map((label) => [label, box(label)]);
    const texts = plot.querySelectorAll(".annotation-text-g, .xtick text, .ytick text, .y2tick text");
    const kept = [...labels.filter(isBold), ...texts].map(box);
    const hidden = plain.filter(([, place]) => kept.some((other) => covers(place, other)) || !kept.push(place));
    hidden.forEach(([label]) => (label.style.visibility = "hidden"));
  }

  window.labels = { fit: fit };
})();
