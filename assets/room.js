/* Room for a view's switches: Dash shows them after the plot is drawn, and their lines decide how much is left for it. */
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

  /* In another width they take what they need. */
  function release(line) {
    line.style.height = "";
  }

  window.room = { reserve: reserve, release: release };
})();
