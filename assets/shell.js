/* Navigation, keyboard, address and theme: everything that needs no server. */
(function () {
  "use strict";

  const root = document.documentElement;
  const tabs = () => Array.from(document.querySelectorAll("#tabs [role=tab]"));

  /* dcc.Location listens to this event: one change of address is one request. */
  function navigate(path) {
    const target = path + window.location.search;
    if (target === window.location.pathname + window.location.search) return;
    window.history.pushState({}, "", target);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    markTab(path);
  }

  function slugOf(path) {
    return path.replace(/^\/+|\/+$/g, "").toLowerCase() || "overview";
  }

  function markTab(path) {
    const slug = slugOf(path);
    let chosen = null;
    tabs().forEach((tab) => {
      const active = tab.id === "tab-" + slug;
      tab.setAttribute("aria-selected", String(active));
      tab.tabIndex = active ? 0 : -1;
      tab.classList.toggle("active", active);
      if (active) chosen = tab;
    });
    const stage = document.getElementById("stage");
    if (chosen && stage) {
      stage.setAttribute("aria-labelledby", chosen.id);
      chosen.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else if (tabs().length) {
      tabs()[0].tabIndex = 0;
    }
  }

  /* Links keep the selection when they are opened in another browser tab. */
  function carryQuery() {
    document.querySelectorAll("a[data-nav]").forEach((link) => {
      const url = new URL(link.href, window.location.href);
      link.href = url.pathname + window.location.search;
    });
  }

  function moveFocus(event) {
    const all = tabs();
    const index = all.indexOf(document.activeElement);
    const steps = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: all.length - 1 };
    if (index < 0 || !(event.key in steps)) return false;
    const next = all[(steps[event.key] + all.length) % all.length];
    next.focus();
    navigate(new URL(next.href).pathname);
    return true;
  }

  function typing(element) {
    if (!element) return false;
    const text = element.matches("textarea, select, [contenteditable=true]");
    return text || (element.matches("input") && !element.matches("[type=checkbox], [type=radio]"));
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (moveFocus(event)) {
      event.preventDefault();
    } else if (/^[1-9]$/.test(event.key) && !typing(document.activeElement)) {
      const tab = tabs().find((item) => item.querySelector(".key")?.textContent === event.key);
      if (tab) navigate(new URL(tab.href).pathname);
    }
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-nav]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      navigate(new URL(link.href).pathname);
    } else if (event.target.closest("[data-reset]")) {
      document.getElementById("reset").click();
    } else if (event.target.closest("#filters-toggle")) {
      document.getElementById("filters").classList.toggle("open");
    } else if (event.target.closest("#copy-link")) {
      copyLink(event.target.closest("#copy-link"));
    }
  });

  function copyLink(button) {
    const done = () => {
      const text = button.textContent;
      button.textContent = "Copied";
      button.disabled = true;
      window.setTimeout(() => {
        button.textContent = text;
        button.disabled = false;
      }, 1200);
    };
    if (navigator.clipboard) {
      navigator.clipboard.writeText(window.location.href).then(done, () => window.prompt("Link", window.location.href));
    } else {
      window.prompt("Link", window.location.href);
    }
  }

  function currentTheme() {
    return root.getAttribute("data-bs-theme") === "dark" ? "dark" : "light";
  }

  function remember(theme) {
    try {
      window.localStorage.setItem("quantization-theme", theme);
    } catch (error) {
      /* storage may be forbidden: the theme then lasts until the page is left */
    }
  }

  window.addEventListener("popstate", () => markTab(window.location.pathname));

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    shell: {
      /* The server says what is shown; the address bar follows without another request. */
      address: function (data) {
        if (data) {
          const target = window.location.pathname + (data.query ? "?" + data.query : "");
          if (target !== window.location.pathname + window.location.search) {
            window.history.replaceState(window.history.state, "", target);
          }
          markTab(window.location.pathname);
          carryQuery();
          window.requestAnimationFrame(carryQuery);
        }
        return window.dash_clientside.no_update;
      },
      theme: function (clicks) {
        if (clicks) {
          const next = currentTheme() === "dark" ? "light" : "dark";
          root.setAttribute("data-bs-theme", next);
          remember(next);
        }
        return currentTheme();
      },
      draw: function (drawing, theme, templates, config) {
        const none = window.dash_clientside.no_update;
        if (!drawing || !theme) return [none, none];
        const layout = Object.assign({}, drawing.figure.layout, {
          template: templates[theme],
          uirevision: drawing.slug,
          autosize: true,
        });
        const image = { filename: drawing.filename, format: "png", scale: 2 };
        const same = config.toImageButtonOptions && config.toImageButtonOptions.filename === drawing.filename;
        const figure = { data: drawing.figure.data, layout: layout };
        return [figure, same ? none : Object.assign({}, config, { toImageButtonOptions: image })];
      },
    },
  });
})();
