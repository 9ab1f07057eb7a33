/* An answer may replace the field that somebody types into: the new one takes over focus, text and cursor. */
(function () {
  "use strict";

  const FIELDS = "input[type=text][id^=option-]";
  const setValue = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  let field = null;

  function remember(event) {
    const node = event.target;
    if (!node.matches?.(FIELDS)) field = null;
    else if (!field || field.node !== node) field = { node: node, typed: null, moved: false };
    if (field && event.type === "input") field.typed = node.value;
  }

  function takeOver() {
    if (!field || field.node.isConnected || document.activeElement !== document.body) return;
    const [before, next] = [field.node, document.getElementById(field.node.id)];
    if (!next) return;
    const [typed, start, end] = [field.typed, before.selectionStart, before.selectionEnd];
    next.focus();
    field = { node: next, typed: typed, moved: typed !== null };
    if (typed === null || typed === next.value) return;
    setValue.call(next, typed);
    next.dispatchEvent(new Event("input", { bubbles: true }));
    next.setSelectionRange(start, end);
  }

  document.addEventListener("focusin", remember);
  document.addEventListener("input", remember);
  document.addEventListener("focusout", (event) => {
    const left = field;
    if (!left || event.target !== left.node) return;
    /* A field that is being replaced loses the focus first; what was moved into a field is no change to a browser. */
    window.setTimeout(() => {
      if (!left.node.isConnected || document.activeElement === left.node) return;
      if (field === left) field = null;
      if (left.moved) left.node.dispatchEvent(new Event("change", { bubbles: true }));
    });
  });
  new MutationObserver(takeOver).observe(document.documentElement, { childList: true, subtree: true });
})();
