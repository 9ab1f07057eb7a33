/* What a person unfolds or folds stays so when an answer draws it anew, on each page by itself. */
(function () {
  "use strict";

  const left = new Map();
  const keyOf = (fold) => `${window.location.pathname} ${fold.dataset.fold}`;

  /* Before the browser turns it. A click on a link or a button inside a summary does not. What unfolds comes into view. */
  document.addEventListener("click", (event) => {
    const fold = event.target.closest("summary")?.parentElement;
    if (!fold?.dataset.fold || event.target.closest("a, button")) return;
    left.set(keyOf(fold), !fold.open);
    fold.addEventListener("toggle", () => fold.open && fold.scrollIntoView({ block: "nearest" }), { once: true });
  });

  function restore(fold) {
    const open = left.get(keyOf(fold));
    if (open !== undefined && open !== fold.open) fold.open = open;
  }

  function watch(changes) {
    if (!left.size) return;
    changes.forEach((change) => change.addedNodes.forEach((node) => {
      if (node.nodeType !== Node.ELEMENT_NODE) return;
      if (node.matches("[data-fold]")) restore(node);
      node.querySelectorAll("[data-fold]").forEach(restore);
    }));
  }

  new MutationObserver(watch).observe(document.documentElement, { childList: true, subtree: true });
})();
