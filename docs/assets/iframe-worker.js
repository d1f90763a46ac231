/* Browsers start no workers for pages that are read from disk, and the search is one: there it runs in a hidden frame. */
(() => {
  if (location.protocol !== "file:") return;

  const inside = `
    window.postMessage = message => parent.dispatchEvent(new MessageEvent("polyfiber-worker", { data: message }));
    window.importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = url;
      script.onload = done;
      script.onerror = failed;
      document.body.appendChild(script);
    })), Promise.resolve());`;

  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      this.frame = frame;
      this.heard = event => {
        const message = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      };
      window.addEventListener("polyfiber-worker", this.heard);
      const page = frame.contentWindow.document;
      page.open();
      page.write(`<html><body><script>${inside}<\/script><script src="${url}"><\/script></body></html>`);
      page.close();
      this.ready = new Promise(done => { frame.contentWindow.onload = done; });
    }

    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      window.removeEventListener("polyfiber-worker", this.heard);
      this.frame.remove();
    }
  };
})();
