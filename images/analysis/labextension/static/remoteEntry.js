// SPDX-License-Identifier: GPL-3.0-or-later
// JupyterLab's page asks the server what its user should know, and says it: how full the home is (cmsaf_dask.home), and which of
// the user's servers the hub will stop soon (cmsaf_dask.sessions).
// As JupyterLab loads it: a container of webpack's module federation, whose one module needs no build. What it needs of
// JupyterLab's own modules it takes out of those that all extensions share.
(() => {
  let shared;
  const sharedModule = async (name) => (await Object.values(shared[name])[0].get())();

  // Asks again and again, after as many seconds as the answer says. Outside of a hub there is nothing to ask.
  const ask = async (app, what, take) => {
    // Not before the page is there, which waits for what activates its plug-ins.
    await app.restored;
    const url = `${app.serviceManager.serverSettings.baseUrl}cmsaf/${what}`;
    for (let again = 300; ; ) {
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
      ];
      return () => ({ __esModule: true, default: plugins });
    },
  };
})();
