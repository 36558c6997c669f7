// Keeps the page up to date: the server sends the parts that have changed as HTML, escaped already.
"use strict";
{
  const connection = document.getElementById("connection");
  const say = (text) => {
    connection.textContent = text;
    connection.hidden = text === "";
  };

  // The token is a cookie by now; in the address it could be seen and copied.
  const address = new URL(location.href);
  if (address.searchParams.has("token")) {
    address.searchParams.delete("token");
    history.replaceState(null, "", address);
  }

  // Puts a part in its place; what was scrolled and what has the focus stays so.
  const show = (name, html) => {
    const part = document.getElementById(name);
    if (!part) return;
    const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    part.innerHTML = html;
    part.querySelectorAll(".scroll").forEach((box, place) => (box.scrollLeft = scrolled[place] ?? 0));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };

  // The table of trials as the address says. Of several answers, the one to the last question counts.
  let asked = 0;
  const showTrials = async () => {
    const number = ++asked;
    const answer = await fetch("trials" + location.search).catch(() => null);
    const html = answer?.ok ? await answer.text() : null;
    if (html !== null && number === asked) show("trials", html);
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-trials]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.replaceState(null, "", link.getAttribute("href"));
    showTrials();
  });

  const events = new EventSource("events?since=" + encodeURIComponent(document.body.dataset.revision));
  events.onopen = () => say("");
  events.onmessage = (message) => {
    const { parts, trials } = JSON.parse(message.data);
    for (const [name, html] of Object.entries(parts)) show(name, html);
    if (trials) showTrials();
  };
  events.onerror = () => {
    const refused = events.readyState === EventSource.CLOSED;
    say(refused ? "Not connected: open the address that tailor serve printed again." : "Connection lost; trying again.");
  };
  // A page that is left closes its stream, so that it is no error.
  addEventListener("pagehide", () => events.close());
}
