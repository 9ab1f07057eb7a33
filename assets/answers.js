/* A click on an answer of the first page, or on its button, picks its file everywhere; another lets it go. */
(function () {
  "use strict";

  const { change, toggle } = window.address;

  document.addEventListener("click", (event) => {
    const card = event.target.closest?.(".pickable");
    const isSelecting = !window.getSelection().isCollapsed;
    if (!card || isSelecting || event.target.closest("a, summary")) return;
    const button = card.querySelector("[data-pick]");
    const isPicked = button.getAttribute("aria-pressed") === "true";
    change((params) => toggle(params, "pick", button.dataset.pick));
    window.said.say(isPicked ? `Let go of ${button.dataset.name}` : `Picked ${button.dataset.name}: marked in every view`);
  });
})();
