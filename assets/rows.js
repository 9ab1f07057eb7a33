/* How many rows the chart names at its vertical axis: on a narrow screen it is as high as they need. */
(function () {
  "use strict";

  document.addEventListener("plot-drawn", ({ detail: plot }) => {
    const named = (plot.layout.yaxis && plot.layout.yaxis.tickvals) || [];
    plot.closest(".canvas")?.style.setProperty("--rows", named.length);
  });
})();
