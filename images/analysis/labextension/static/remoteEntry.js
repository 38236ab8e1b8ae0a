// SPDX-License-Identifier: GPL-3.0-or-later
// JupyterLab's page asks the server which of the user's servers the hub will stop soon, and says so (cmsaf_dask.sessions).
// As JupyterLab loads it: a container of webpack's module federation, whose one module needs none of others and no build.
(() => {
  // Not before the page is there, which waits for what activates its plug-ins.
  const activate = (app) => void app.restored.then(() => watch(app));

  const watch = (app) => {
    const url = `${app.serviceManager.serverSettings.baseUrl}cmsaf/sessions`;
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
      const id = await app.commands.execute("apputils:notify", {
        message: message.replace("{when}", when),
        type: "warning",
        options: {
          autoClose: false,
          actions: [{ label: "Hub Control Panel", commandId: "hub:control-panel" }],
        },
      });
      said.set(server, { stage, id });
    };

    const ask = async () => {
      let again = 300;
      try {
        const xsrf = /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie)?.[1] ?? "";
        const answer = await fetch(url, { cache: "no-store", headers: { "X-XSRFToken": xsrf } });
        // Outside of a hub nobody stops servers.
        if (answer.status === 404) return;
        if (answer.ok) {
          const found = await answer.json();
          again = found.again;
          const soon = new Set(found.warnings.map((one) => one.server));
          for (const server of [...said.keys()].filter((one) => !soon.has(one))) await withdraw(server);
          for (const one of found.warnings) await say(one);
        }
      } catch (error) {
        // JupyterLab itself says that the server is away.
        console.debug("Asking when servers are stopped:", error);
      }
      setTimeout(ask, again * 1000);
    };
    ask();
  };

  const plugin = { id: "cmsaf-sessions:plugin", description: "Says when servers are stopped.", autoStart: true, activate };
  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB["cmsaf-sessions"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
