// Keeps the page up with the queue: asks for it again, and puts in the parts that change.
// Nothing of it is needed to read the page.
(() => {
  "use strict";
  const EVERY_MS = 4000;
  const button = document.getElementById("pause");
  const told = document.getElementById("live");
  let paused = false;

  const busy = (part) =>
    part.contains(document.activeElement) ||
    part.querySelector("input:checked, details.sure[open]") !== null ||
    (!getSelection().isCollapsed && part.contains(getSelection().anchorNode));

  function put(fresh) {
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (next === null || busy(part) || next.innerHTML === part.innerHTML) continue;
      for (const open of part.querySelectorAll("details[open][id]")) {
        next.querySelector("#" + CSS.escape(open.id))?.setAttribute("open", "");
      }
      part.replaceWith(document.adoptNode(next));
    }
  }

  async function keepUp() {
    if (!paused && !document.hidden) {
      try {
        const answer = await fetch(location.href, { signal: AbortSignal.timeout(10 * EVERY_MS) });
        if (!answer.ok) throw new Error(answer.status);
        // Its style has a nonce that is not this page's: without it, nothing is complained of.
        const html = (await answer.text()).replace(/<style[^]*?<\/style>/, "");
        put(new DOMParser().parseFromString(html, "text/html"));
        told.textContent = "";
      } catch {
        told.textContent = "No fresh numbers: the service does not answer. Trying again.";
      }
    }
    setTimeout(keepUp, EVERY_MS);
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", paused);
  });
  setTimeout(keepUp, EVERY_MS);
})();
