// SPDX-License-Identifier: GPL-3.0-or-later
// JupyterLab's page asks the server what its user should know, and says it: how full the home is (cmsaf_dask.home), which of the
// user's servers the hub will stop soon (cmsaf_dask.sessions), and why workers of Dask clusters are not there (cmsaf_dask.sidebar).
// As JupyterLab loads it: a container of webpack's module federation, whose one module needs no build. What it needs of
// JupyterLab's own modules it takes out of those that all extensions share.
(() => {
  let shared;
  const sharedModule = async (name) => (await Object.values(shared[name])[0].get())();

  // Asks again and again, after as many seconds as the answer says and not before `due`. Outside of a hub there is less to ask.
  const ask = async (app, what, take, due = () => {}) => {
    // Not before the page is there, which waits for what activates its plug-ins.
    await app.restored;
    const url = `${app.serviceManager.serverSettings.baseUrl}cmsaf/${what}`;
    for (let again = 300; ; ) {
      await due();
      try {
        const xsrf = /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie)?.[1] ?? "";
        const answer = await fetch(url, { cache: "no-store", headers: { "X-XSRFToken": xsrf } });
        if (answer.status === 404) return;
        if (answer.ok) {
          const found = await answer.json();
          again = found.again;
          await take(found);
        }
      } catch (error) {
        // JupyterLab itself says that the server is away.
        console.debug(`Asking for ${what}:`, error);
      }
      await new Promise((done) => setTimeout(done, again * 1000));
    }
  };

  const notify = (app, type, message, actions) =>
    app.commands.execute("apputils:notify", { message, type, options: { autoClose: false, actions } });

  const watchSessions = (app) => {
    // By server: the stage that was said last, and the notification's id.
    const said = new Map();

    const withdraw = async (server) => {
      await app.commands.execute("apputils:dismiss-notification", { id: said.get(server).id });
      said.delete(server);
    };

    const say = async ({ server, stage, seconds, message }) => {
      const known = said.get(server);
      if (known?.stage === stage) return;
      if (known) await withdraw(server);
      const end = new Date(Date.now() + seconds * 1000);
      const when = end.toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit" });
      const actions = [{ label: "Hub Control Panel", commandId: "hub:control-panel" }];
      const id = await notify(app, "warning", message.replace("{when}", when), actions);
      said.set(server, { stage, id });
    };

    ask(app, "sessions", async ({ warnings }) => {
      const soon = new Set(warnings.map((one) => one.server));
      for (const server of [...said.keys()].filter((one) => !soon.has(one))) await withdraw(server);
      for (const one of warnings) await say(one);
    });
  };

  const watchHome = (app, statusBar, item) => {
    const line = document.createElement("span");
    line.className = "jp-StatusBar-TextItem";
    item.node.append(line);
    let shown = false;
    let said = { level: "" };

    ask(app, "home", async ({ text, level, message }) => {
      line.textContent = text;
      if (!shown) statusBar?.registerStatusItem("cmsaf:home", { item, align: "left", rank: 3 });
      shown = true;
      if (level === said.level) return;
      if (said.id) await app.commands.execute("apputils:dismiss-notification", { id: said.id });
      const type = level === "near" || level === "files" ? "warning" : "error";
      said = { level, id: level && (await notify(app, type, message, [])) };
    });
  };

  const CLUSTERS = `
    .cmsaf-Clusters { border-top: 6px solid var(--jp-toolbar-border-color); padding: 8px 12px; line-height: 1.4; overflow-wrap: anywhere; }
    .cmsaf-Clusters h2 {
      font-size: var(--jp-ui-font-size0); font-weight: 600; letter-spacing: 1px; margin: 0 0 8px; text-transform: uppercase;
    }
    .cmsaf-Clusters h3 { font-size: var(--jp-ui-font-size2); font-weight: 400; margin: 0; }
    .cmsaf-Clusters p { margin: 0; }
    .cmsaf-Clusters article { border-left: 3px solid var(--jp-border-color2); margin-bottom: 12px; padding-left: 8px; }
    .cmsaf-Clusters article.cmsaf-mod-missing { border-left-color: var(--jp-warn-color1); }
    .cmsaf-Clusters-made { color: var(--jp-ui-font-color2); }
    .cmsaf-Clusters ul { margin: 4px 0; padding-left: 16px; }
    .cmsaf-Clusters summary { cursor: pointer; }
    .cmsaf-Clusters pre {
      background: var(--jp-layout-color2); font-family: var(--jp-code-font-family); font-size: var(--jp-code-font-size); margin: 4px 0;
      padding: 4px; white-space: pre-wrap;
    }`;
  const CLUSTER = '<h3></h3><p class="cmsaf-Clusters-made"></p><p role="status"></p><ul></ul><div></div>';

  // What has not changed is left alone: what is open stays open and has the keyboard, and a screen reader says only what is new.
  const write = (node, text) => {
    if (node.textContent !== text) node.textContent = text;
  };
  const each = (parent, items, [name, inside], fill) => {
    const left = new Map([...parent.children].map((child) => [child.dataset.of, child]));
    for (const [key, item] of Object.entries(items)) {
      let child = left.get(key);
      if (!left.delete(key)) {
        child = parent.appendChild(document.createElement(name));
        child.dataset.of = key;
        child.innerHTML = inside;
      }
      fill(child, item, key);
    }
    for (const gone of left.values()) gone.remove();
  };

  const showCluster = (article, cluster) => {
    const [title, made, headline, reasons, lines] = article.children;
    article.classList.toggle("cmsaf-mod-missing", !cluster.fine);
    write(title, cluster.title);
    write(made, cluster.made);
    write(headline, cluster.headline);
    each(reasons, { ...cluster.reasons }, ["li", ""], write);
    each(lines, cluster.last_lines, ["details", "<summary></summary><pre></pre>"], ({ children: [summary, pre] }, text, worker) => {
      write(summary, `Last lines of ${worker}, which ended`);
      write(pre, text);
    });
  };

  // In Dask's own sidebar, below its clusters: it has the counts, this says why.
  const watchClusters = async (app, Widget) => {
    await app.restored;
    const sides = ["left", "right"].flatMap((side) => [...app.shell.widgets(side)]);
    const dask = sides.find((widget) => widget.id === "dask-dashboard-launcher");
    if (!dask) {
      console.warn("Looking for Dask's sidebar: it is not there, so nothing is said of clusters.");
      return;
    }
    let wake = () => {};
    class Panel extends Widget {
      onAfterShow() {
        wake();
      }
    }
    const panel = new Panel();
    panel.addClass("cmsaf-Clusters");
    panel.node.setAttribute("role", "region");
    panel.node.setAttribute("aria-label", "Workers");
    panel.node.innerHTML = "<style></style><h2>Workers</h2><p hidden>No cluster runs on this server.</p><div></div>";
    const [style, , none, list] = panel.node.children;
    style.textContent = CLUSTERS;
    dask.layout.addWidget(panel);
    document.addEventListener("visibilitychange", () => wake());

    const seen = async () => {
      while (!panel.isVisible || document.hidden) await new Promise((done) => (wake = done));
    };
    const show = ({ clusters }) => {
      none.hidden = clusters.length > 0;
      const byAddress = Object.fromEntries(clusters.map((cluster) => [cluster.address, cluster]));
      each(list, byAddress, ["article", CLUSTER], showCluster);
    };
    await ask(app, "clusters", show, seen);
  };

  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB.cmsaf = {
    init: (scope) => {
      shared = scope;
    },
    get: async () => {
      const { IStatusBar } = await sharedModule("@jupyterlab/statusbar");
      const { Widget } = await sharedModule("@lumino/widgets");
      const plugins = [
        {
          id: "cmsaf:sessions",
          description: "Says when servers are stopped.",
          autoStart: true,
          activate: watchSessions,
        },
        {
          id: "cmsaf:home",
          description: "Says how full the home is.",
          autoStart: true,
          optional: [IStatusBar],
          activate: (app, statusBar) => watchHome(app, statusBar, new Widget()),
        },
        {
          id: "cmsaf:clusters",
          description: "Says why workers are not there.",
          autoStart: true,
          activate: (app) => {
            // Not waited for: it waits for JupyterLab, which waits for what activates its plug-ins.
            watchClusters(app, Widget);
          },
        },
      ];
      return () => ({ __esModule: true, default: plugins });
    },
  };
})();
