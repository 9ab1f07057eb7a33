/* Keys on the slider of bits. The component would take its step from the value of the last answer, and so lose those
   pressed since: here the address, which is always the latest, says where the next step starts. */
(function () {
  "use strict";

  const PAGE = 10;
  const STEPS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: PAGE, PageDown: -PAGE, Home: -Infinity, End: Infinity };

  function current(low, high) {
    const match = /^([\d.]+)-([\d.]+)$/.exec(new URLSearchParams(window.location.search).get("bits") || "");
    const kept = (value) => Math.min(Math.max(Number(value), low), high);
    return match ? [kept(match[1]), kept(match[2])] : [low, high];
  }

  document.addEventListener("keydown", (event) => {
    const thumb = event.target.closest && event.target.closest("#group-bits [role=slider]");
    const bounds = window.shell.bounds();
    if (!thumb || !bounds || !(event.key in STEPS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const [low, high, step] = bounds;
    const bits = current(low, high);
    const place = [...document.querySelectorAll("#group-bits [role=slider]")].indexOf(thumb);
    const [least, most] = place === 0 ? [low, bits[1]] : [bits[0], high];
    const moved = bits[place] + step * Math.max(-1e6, Math.min(1e6, STEPS[event.key]));
    bits[place] = Number(Math.min(Math.max(moved, least), most).toFixed(4));
    const whole = bits[0] <= low && bits[1] >= high;
    window.address.change((params) => window.address.put(params, "bits", whole ? [] : [bits.join("-")]), "bits");
    window.dash_clientside.set_props("filter-bits", { value: bits });
  }, true);
})();
