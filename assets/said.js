/* The line above the status bar: what was done, what goes on and what failed. Screen readers read it out. */
(function () {
  "use strict";

  const SHOWN_MS = 5000;
  const REASON_MS = 20000;
  let hiding = 0;
  let goesOn = "";

  function show(text, failed) {
    const line = document.getElementById("said");
    line.textContent = text;
    line.classList.toggle("shown", Boolean(text));
    line.classList.toggle("failed", Boolean(failed));
    window.clearTimeout(hiding);
  }

  /* Say something for a while, a failure for longer; then what goes on is said again. */
  function say(text, failed) {
    show(text, failed);
    hiding = window.setTimeout(() => show(goesOn), failed ? REASON_MS : SHOWN_MS);
  }

  /* Say what goes on, until `end` says what came of it. */
  function during(text) {
    goesOn = text;
    show(text);
  }

  function end(text, failed) {
    goesOn = "";
    say(text, failed);
  }

  /* Ask the server; an error says the reason as a person can read it. */
  async function ask(url, options) {
    const answer = await window.fetch(url, options).catch((error) => {
      throw error.name === "AbortError" ? error : new Error("the dashboard does not answer");
    });
    if (answer.ok) return answer;
    const plain = (answer.headers.get("Content-Type") || "").startsWith("text/plain");
    throw new Error(plain ? (await answer.text()).slice(0, 300) : "a fault in the dashboard; its terminal says more");
  }

  window.said = { say: say, during: during, end: end, ask: ask };
})();
