/* The handle of the memory line on the first page's chart: an input of type range along the upper edge of the plot, so
   that mouse, keyboard and touch work as the browser has them. What it sets is in the address, as a typed limit is. */
(function () {
  "use strict";

  const MEGABYTE = 1e6;
  const GIGABYTE = 1e9;
  /* Pixels of the handle, as in home.css. */
  const THUMB = 18;
  /* While a hand moves the line, the address follows at most this often, and not before the last answer is drawn. */
  const PACE_MS = 160;

  const slider = Object.assign(document.createElement("input"), { type: "range", id: "memory-line", className: "memory-line" });
  const readout = Object.assign(document.createElement("output"), { className: "memory-readout", hidden: true });
  readout.setAttribute("aria-hidden", "true");
  let plot = null;
  let memory = null;
  let timer = 0;
  let held = false;
  let going = false; /* whether this drag has written into the address already */
  let pending = false;
  let waiting = false;
  let standing = null;

  const atEnd = () => Number(slider.value) + Number(slider.step) / 2 > Number(slider.max);

  /* What stands in the address for a place on the axis: nothing at the right end, where everything fits. */
  function limit() {
    if (atEnd()) return "";
    const step = memory.step * memory.unit;
    const bytes = Math.max(step, Math.round((Number(slider.value) * memory.unit + memory.extra) / step) * step);
    return bytes < GIGABYTE ? (bytes / MEGABYTE).toFixed(1).replace(/\.0$/, "") + " MB" : (bytes / GIGABYTE).toFixed(2) + " GB";
  }

  function spoken() {
    const text = limit();
    if (!text) return "No limit of memory";
    return memory.context ? text + " at " + memory.context + " tokens of context" : text;
  }

  function say() {
    slider.setAttribute("aria-valuetext", spoken());
    readout.textContent = limit() || "drag: your memory";
  }

  function commit() {
    window.clearTimeout(timer);
    timer = 0;
    pending = false;
    const [text, before] = [limit(), window.location.search];
    window.address.change((params) => window.address.put(params, "gb", text ? [text] : []), "memory-line", going);
    going = held;
    waiting = window.location.search !== before;
  }

  function schedule() {
    if (pending && !timer && !waiting) timer = window.setTimeout(commit, PACE_MS);
  }

  /* The drawn line follows at once; the answer of the server, with the headline, a moment later. */
  function moved() {
    held = true;
    readout.hidden = false;
    say();
    moveReadout();
    moveLine();
    pending = true;
    schedule();
  }

  /* Pixels from the plot's left edge to a place on the axis. */
  const across = (value) => plot._fullLayout.xaxis._offset + plot._fullLayout.xaxis.l2p(value);

  function moveReadout() {
    const left = across(Number(slider.value));
    readout.style.left = left + "px";
    readout.classList.toggle("before", left > plot.clientWidth / 2);
  }

  /* Moves what Plotly drew of the line. */
  function moveLine() {
    const change = {};
    const named = (list) => (list || []).map((item, index) => [item, index]).filter(([item]) => item.name === "memory");
    named(plot.layout.shapes).forEach(([item, index]) => {
      change["shapes[" + index + "].x0"] = Number(slider.value);
      if (item.type === "line") change["shapes[" + index + "].x1"] = Number(slider.value);
    });
    named(plot.layout.annotations).forEach(([, index]) => (change["annotations[" + index + "].text"] = ""));
    if (Object.keys(change).length) window.Plotly.relayout(plot, change);
  }

  function released() {
    held = false;
    if (pending) commit();
    going = false;
  }

  /* Over the axis as it is drawn: a zoom changes what the ends mean. */
  function place() {
    const box = plot._fullLayout._size;
    const [low, high] = plot._fullLayout.xaxis.range;
    const min = Math.ceil(low / memory.step) * memory.step;
    const max = min + Math.floor((high - min) / memory.step) * memory.step;
    const value = slider.value;
    Object.assign(slider, { min: min, max: max, step: memory.step });
    slider.value = held ? value : memory.at === null ? max : memory.at;
    Object.assign(slider.style, {
      left: across(min) - THUMB / 2 + "px",
      width: across(max) - across(min) + THUMB + "px",
      top: box.t - THUMB / 2 + "px",
    });
    readout.style.top = box.t - THUMB - 4 + "px";
    readout.hidden = memory.at !== null && !held;
    slider.classList.toggle("unset", memory.at === null && !held);
    say();
    moveReadout();
  }

  function drawn(element) {
    plot = element;
    memory = plot._fullLayout?.meta?.memory || null;
    const answered = plot.layout !== standing; /* and not a line that was moved here */
    standing = plot.layout;
    if (answered) waiting = false;
    if (!memory) {
      slider.remove();
      readout.remove();
      return;
    }
    if (slider.parentElement !== plot.parentElement) plot.parentElement.append(slider, readout);
    place();
    if (answered && held) moveLine();
    schedule();
  }

  slider.setAttribute("aria-label", "Memory at most, a line on the chart");
  slider.addEventListener("input", moved);
  slider.addEventListener("change", released);
  document.addEventListener("plot-drawn", (event) => drawn(event.detail));
  const there = document.querySelector("#graph .js-plotly-plot");
  if (there && there._fullLayout) drawn(there);
})();
