/* Room for a view's switches and its caption: Dash shows them after the plot is drawn, and their lines decide how much is
   left for it. */
(function () {
  "use strict";

  const listed = (children) => [children ?? []].flat();

  /* What Dash will make of a part of its answer, as far as that takes room. */
  function build(part) {
    if (typeof part !== "object") return document.createTextNode(String(part));
    const element = document.createElement(part.type);
    element.className = part.props.className || "";
    element.append(...listed(part.props.children).map(build));
    return element;
  }

  /* Give the line of the switches the height that it will have with these. */
  function reserve(line, switches) {
    line.style.height = "";
    const copy = line.cloneNode(true);
    Object.assign(copy.style, { position: "absolute", visibility: "hidden", width: line.clientWidth + "px" });
    copy.querySelector(".options").replaceChildren(...listed(switches).map(build));
    line.parentElement.append(copy);
    const { height } = copy.getBoundingClientRect();
    copy.remove();
    line.style.height = height + "px";
  }

  /* Show the caption in the page that Dash replaces; in its own, where the words are Dash's, give it its height. */
  function caption(spot, words) {
    spot.style.height = "";
    if (spot.closest("#first-page")) return spot.replaceChildren(...listed(words).map(build));
    const copy = spot.cloneNode(false);
    copy.removeAttribute("id");
    Object.assign(copy.style, { position: "absolute", visibility: "hidden", width: spot.clientWidth + "px" });
    copy.replaceChildren(...listed(words).map(build));
    spot.parentElement.append(copy);
    spot.style.height = copy.getBoundingClientRect().height + "px";
    copy.remove();
  }

  /* In another width they take what they need. */
  function release(line) {
    line.style.height = "";
    const spot = document.getElementById("caption");
    if (spot) spot.style.height = "";
  }

  window.room = { reserve: reserve, caption: caption, release: release };
})();
