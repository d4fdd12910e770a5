"use strict";
// Asks for the page again every few seconds, but not while somebody is about to press a button or
// has marked some text.
(() => {
  const EVERY = 5000;
  const home = document.body.dataset.home;
  const told = document.getElementById("told");
  const inMain = (what) => {
    const at = document.activeElement;
    return at !== null && at.closest(`main ${what}`) !== null;
  };
  const isBusy = () => document.hidden || inMain("form") || !document.getSelection().isCollapsed
    || document.querySelector("main details[open]") !== null;
  const put = (next) => {
    const link = inMain("a") ? document.activeElement.outerHTML : "";
    document.querySelector("main").replaceWith(next);
    const same = [...next.querySelectorAll("a")].find((one) => one.outerHTML === link);
    if (same) same.focus({ preventScroll: true });
  };
  let since = new Date();
  const look = async () => {
    try {
      if (!isBusy()) {
        const answer = await fetch(home, { cache: "no-store", headers: { Accept: "text/html" } });
        const text = await answer.text();
        const next = new DOMParser().parseFromString(text, "text/html").querySelector("main");
        if (!answer.ok || next === null) throw new Error(answer.statusText);
        since = new Date();
        told.textContent = "";
        if (!isBusy()) put(next);
      }
    } catch {
      told.textContent = `No answer since ${since.toLocaleTimeString()}: what you see is old.`;
    }
    setTimeout(look, EVERY);
  };
  setTimeout(look, EVERY);
})();
