/* The order of a visit: the plot of the page that came with the HTML, then Dash, which takes that page's place. */
(function () {
  "use strict";

  const read = (id) => JSON.parse(document.getElementById(id)?.textContent || "null");

  function copyOf(tag) {
    const script = document.createElement("script");
    script.id = tag.id;
    script.noModule = tag.noModule;
    script.async = false;
    return script;
  }

  /* Dash's files are there already or on their way; they run in their order, and the renderer's start comes last. */
  function startDash() {
    const waiting = Array.from(document.querySelectorAll('script[type="text/later"]'));
    const start = waiting.pop();
    let last = null;
    waiting.forEach((tag) => {
      last = copyOf(tag);
      last.src = tag.getAttribute("src");
      document.body.append(last);
    });
    last.onload = () => {
      const script = copyOf(start);
      script.textContent = start.textContent;
      start.replaceWith(script);
    };
  }

  /* The moment Dash's page is in the document, the other one goes: nobody sees both, or neither. */
  function takeOver() {
    const watch = new MutationObserver(() => {
      if (!document.getElementById("graph-place")) return;
      watch.disconnect();
      window.plot.takePlace();
      document.getElementById("first-page")?.remove();
      /* Who went back meanwhile has another address than the page that Dash was given: its Location finds out. */
      window.setTimeout(window.address.announce);
    });
    watch.observe(document.getElementById("react-entry-point"), { childList: true, subtree: true });
  }

  /* A server that is gone would leave the page as it was, under another address. */
  function watchServer() {
    const lost = document.getElementById("lost");
    const ask = window.fetch;
    lost.querySelector("button").addEventListener("click", () => window.location.reload());
    window.fetch = async (...given) => {
      const asks = String(given[0]).includes("_dash-update-component");
      try {
        const answer = await ask(...given);
        if (asks) lost.hidden = answer.status < 500;
        return answer;
      } catch (error) {
        if (asks) lost.hidden = false;
        throw error;
      }
    };
  }

  const painted = () => new Promise((done) => window.requestAnimationFrame(() => window.setTimeout(done)));

  const first = read("first-drawing");
  window.plot.setUp(read("plot-settings"));
  takeOver();
  watchServer();
  document.querySelector("#first-page .view-tab.active")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (!first) startDash();
  else {
    window.plot
      .first(first)
      .then(painted)
      .catch((error) => window.console.error(error))
      .then(startDash);
  }
})();
