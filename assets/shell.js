/* Navigation, filters and theme. */
(function () {
  "use strict";

  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const tabs = () => Array.from(document.querySelectorAll("#tabs [role=tab]"));
  const { go, respell, turnTo, change, put, toggle } = window.address;

  /* Spreadsheets run texts that begin with these signs as formulas. */
  function asText(value) {
    return typeof value === "string" && /^[=+@\t-]/.test(value) ? "'" + value : value;
  }

  function slugOf(path) {
    return path.replace(/^\/+|\/+$/g, "").toLowerCase() || "overview";
  }

  /* By hand, because after scrollIntoView the key Tab would go on from there, and not begin with the page. */
  function bringIntoView(tab) {
    const strip = tab.parentNode;
    const left = tab.offsetLeft - strip.offsetLeft;
    if (left < strip.scrollLeft) strip.scrollLeft = left;
    else strip.scrollLeft = Math.max(strip.scrollLeft, left + tab.offsetWidth - strip.clientWidth);
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
    const stage = byId("stage");
    if (chosen && stage) {
      stage.setAttribute("aria-labelledby", chosen.id);
      bringIntoView(chosen);
    } else if (tabs().length) {
      tabs()[0].tabIndex = 0;
    }
  }

  /* Keep the selection in links that are opened in another browser tab. */
  function carryQuery() {
    document.querySelectorAll("a[data-nav]").forEach((link) => {
      const url = new URL(link.href, window.location.href);
      link.href = url.pathname + window.location.search;
    });
  }

  /* The query of the screen that is there, and the ends and the step of its slider. */
  let shown = "";
  let bounds = null;

  /* A link holds the whole address that it leads to from that screen. An action that is not answered yet stands: only
     what the link changes is changed. */
  function follow(url) {
    if (url.pathname !== window.location.pathname) return go(url.pathname + url.search);
    const [before, after] = [new URLSearchParams(shown), url.searchParams];
    const differs = (key) => JSON.stringify(before.getAll(key)) !== JSON.stringify(after.getAll(key));
    const keys = [...new Set([...before.keys(), ...after.keys()])].filter(differs);
    return change((params) => keys.forEach((key) => put(params, key, after.getAll(key))));
  }

  function step(by) {
    const all = tabs();
    const index = all.findIndex((tab) => tab.getAttribute("aria-selected") === "true");
    const next = all[(Math.max(index, 0) + by + all.length) % all.length];
    if (all.includes(document.activeElement)) next.focus();
    turnTo(new URL(next.href).pathname);
  }

  function jump(tab, focus) {
    if (focus) tab.focus();
    turnTo(new URL(tab.href).pathname);
  }

  function openHelp() {
    const dialog = byId("help");
    if (!dialog.open) dialog.showModal();
  }

  document.addEventListener("click", (event) => {
    const target = event.target;
    if (!target.closest) return;
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      if (!menu.contains(target)) menu.open = false;
    });
    const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0;
    const link = target.closest("a[data-nav], a[data-go], a[data-query]");
    if (link && plain) {
      event.preventDefault();
      const url = new URL(link.href);
      if (link.dataset.nav) turnTo(url.pathname);
      else if (link.dataset.go) follow(url);
      else go((link.dataset.query ? window.location.pathname : url.pathname) + url.search);
      link.closest("details.menu")?.removeAttribute("open");
    } else if (target.closest("[data-reset]")) {
      change((params) => [...params.keys()].filter((key) => !["results", "engine"].includes(key)).forEach((key) => params.delete(key)));
    } else if (target.closest("[data-close]")) {
      byId(target.closest("[data-close]").dataset.close).close();
    } else if (target.closest("#filters-toggle")) {
      foldFilters();
    } else if (target.closest("#help-toggle")) {
      openHelp();
    } else if (target.closest("#copy-link")) {
      copy(target.closest("#copy-link"), window.location.href);
    } else if (target.closest("[data-copy]")) {
      copy(target.closest("[data-copy]"), target.closest("[data-copy]").dataset.copy);
    } else if (target.closest("#grid-csv")) {
      const fileName = target.closest("#grid-csv").dataset.file;
      window.dash_ag_grid.getApi("grid").exportDataAsCsv({
        fileName: fileName,
        allColumns: true,
        processHeaderCallback: (head) => head.column.getColId(),
        processCellCallback: (cell) => asText(cell.value),
      });
    }
  });

  /* A tick changes the address at once; the callback that compares all filters comes later, with the same result. */
  document.addEventListener("change", (event) => {
    const list = event.target.closest("input[type=checkbox]") && event.target.closest("[id^=filter-]");
    if (list) change((params) => toggle(params, list.id.slice("filter-".length), event.target.value));
    const choice = event.target.closest("input[type=radio]") && event.target.closest("[id^=filter-]");
    if (choice) change((params) => put(params, choice.id.slice("filter-".length), [event.target.value]));
  }, true);

  /* Inputs with the id option-KEY set an option of the address; an empty one restores the default. */
  document.addEventListener("change", (event) => {
    const match = /^option-([a-z]+)$/.exec(event.target.id || "");
    if (match) change((params) => put(params, match[1], event.target.value === "" ? [] : [event.target.value]), match[0]);
  });

  function foldFilters() {
    const narrow = window.matchMedia("(max-width: 720px)").matches;
    byId("shell").classList.toggle(narrow ? "filters-open" : "filters-folded");
    window.dispatchEvent(new Event("resize"));
  }

  function copy(button, text) {
    const done = () => {
      const name = button.textContent;
      button.textContent = "Copied";
      button.disabled = true;
      window.setTimeout(() => {
        button.textContent = name;
        button.disabled = false;
      }, 1200);
    };
    const ask = () => window.prompt("Copy this", text);
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, ask);
    else ask();
  }

  function currentTheme() {
    return root.getAttribute("data-bs-theme") === "dark" ? "dark" : "light";
  }

  function setTheme(theme) {
    root.setAttribute("data-bs-theme", theme);
    root.setAttribute("data-ag-theme-mode", theme);
    try {
      window.localStorage.setItem("quantization-theme", theme);
    } catch (error) {
      /* storage may be blocked: the theme then lasts until the page is closed */
    }
  }

  window.addEventListener("popstate", () => markTab(window.location.pathname));

  /* The table is not redrawn when only picks change, so tick the rows picked elsewhere here. */
  function tickRows(picked) {
    if (!byId("grid")) return;
    const ticked = window.dash_ag_grid.getApi("grid").getSelectedRows().map((row) => row.variant_id);
    if (JSON.stringify(ticked.sort()) !== JSON.stringify(picked)) {
      window.dash_clientside.set_props("grid", { selectedRows: { ids: picked } });
    }
  }

  const none = () => window.dash_clientside.no_update;

  window.shell = { tabs: tabs, step: step, jump: jump, openHelp: openHelp, foldFilters: foldFilters, bounds: () => bounds };

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    shell: {
      /* Show the server's form of the address that it answered in the address bar, without a request. */
      address: function (data) {
        if (data) {
          shown = data.query;
          bounds = data.bounds;
          const stands = respell(data.asked, window.location.pathname + (data.query ? "?" + data.query : ""));
          document.title = (data.model ? data.model + " · " : "") + "quantization comparison";
          markTab(window.location.pathname);
          if (stands) tickRows(data.picked || []);
          /* Load the scripts that the next page is likely to need. */
          window.setTimeout(() => window.plot.fetch().catch(() => {}), 300);
          window.setTimeout(window.address.fetchTable, 1500);
          carryQuery();
          window.requestAnimationFrame(carryQuery);
        }
        return none();
      },
      filters: function (model, device, method, quant, domain, bin, engine, bits, address) {
        const before = address && address.panel;
        if (!before || !before.bits) return none();
        const now = { model: model, device: device, method: method, quant: quant, domain: domain, bin: bin };
        const moved = JSON.stringify(bits) !== JSON.stringify(before.bits);
        const ticked = Object.keys(now).filter(
          (key) => JSON.stringify([...(now[key] || [])].sort()) !== JSON.stringify([...before[key]].sort())
        );
        const switched = engine && engine !== before.engine;
        if (!moved && !ticked.length && !switched) return none();
        const slider = address.bounds;
        change((params) => {
          ticked.forEach((key) => put(params, key, [...now[key]].sort()));
          if (switched) put(params, "engine", [engine]);
          const whole = bits[0] <= slider[0] && bits[1] >= slider[1];
          if (moved) put(params, "bits", whole ? [] : [bits[0] + "-" + bits[1]]);
        }, ticked.length ? "" : "bits");
        return none();
      },
      rows: function (rows, address) {
        if (!Array.isArray(rows) || !address) return none();
        const ids = rows.map((row) => row.variant_id).sort();
        if (JSON.stringify(ids) !== JSON.stringify(address.picked)) change((params) => put(params, "pick", ids));
        return none();
      },
      theme: function (clicks) {
        setTheme(clicks ? (currentTheme() === "dark" ? "light" : "dark") : currentTheme());
        return currentTheme();
      },
    },
  });
})();
