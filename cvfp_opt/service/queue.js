"use strict";
// Asks for the page again every few seconds, but not while somebody is about to press a button.
(() => {
  const EVERY = 5000;
  const home = document.body.dataset.home;
  const told = document.getElementById("told");
  const isBusy = () => {
    const at = document.activeElement;
    return document.hidden || document.querySelector("main details[open]") !== null
      || (at !== null && at.closest("main form") !== null);
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
        if (!isBusy()) document.querySelector("main").replaceWith(next);
      }
    } catch {
      told.textContent = `No answer since ${since.toLocaleTimeString()}: what you see is old.`;
    }
    setTimeout(look, EVERY);
  };
  setTimeout(look, EVERY);
})();
