/* What helps to read a page: the meaning of a marked word on hover and on focus, and the numbers behind the insights. */
(function () {
  "use strict";

  const GAP = 6;
  let tip = null;
  let told = null;

  function box() {
    if (!tip) {
      tip = Object.assign(document.createElement("div"), { id: "meaning", className: "meaning", hidden: true });
      tip.setAttribute("role", "tooltip");
      document.body.append(tip);
      tip.addEventListener("mouseleave", (event) => event.relatedTarget !== told && hide());
    }
    return tip;
  }

  /* Below the word, or above it where there is no room; inside the window. */
  function place(word) {
    const at = word.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const below = at.bottom + GAP + own.height <= window.innerHeight;
    tip.style.top = `${below ? at.bottom + GAP : Math.max(GAP, at.top - GAP - own.height)}px`;
    tip.style.left = `${Math.max(GAP, Math.min(at.left, window.innerWidth - own.width - GAP))}px`;
  }

  function show(word) {
    hide();
    box().textContent = word.dataset.meaning;
    tip.hidden = false;
    told = word;
    word.setAttribute("aria-describedby", tip.id);
    place(word);
  }

  function hide() {
    if (!told) return;
    told.removeAttribute("aria-describedby");
    tip.hidden = true;
    told = null;
  }

  const termOf = (target) => (target && target.closest ? target.closest(".term") : null);

  document.addEventListener("mouseover", (event) => {
    const word = termOf(event.target);
    if (word && word !== told) show(word);
    else if (told && !told.isConnected) hide();
  });
  document.addEventListener("mouseout", (event) => {
    const leaves = termOf(event.target) && event.relatedTarget !== tip;
    if (leaves && told !== document.activeElement) hide();
  });
  document.addEventListener("focusin", (event) => {
    const word = termOf(event.target);
    if (word) show(word);
    else hide();
  });
  document.addEventListener("focusout", (event) => {
    if (told && event.target === told && !told.matches(":hover")) hide();
  });
  document.addEventListener("scroll", hide, true);
  document.addEventListener("click", (event) => {
    if (!termOf(event.target)) hide();
    const button = event.target.closest && event.target.closest("#numbers-toggle");
    if (button) {
      const shown = document.documentElement.classList.toggle("numbers-shown");
      button.setAttribute("aria-pressed", String(shown));
    }
  });
  /* Escape closes an open explanation, and only that. A word that an answer took off the page is no longer explained. */
  document.addEventListener(
    "keydown",
    (event) => {
      if (told && !told.isConnected) hide();
      if (event.key !== "Escape" || !told) return;
      event.stopImmediatePropagation();
      hide();
    },
    true
  );
})();
