"use strict";
(() => {
  // Of A4 and of letter between their margins, see @page; two figures have room on a page.
  const PAPER_WIDTH = 680, PAPER_HEIGHT = 0.58, LEAST_HEIGHT = 230;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)");
  const pictures = [...document.querySelectorAll(".picture")];
  const ink = onPaper => (dark.matches && !onPaper ? "#d5dae2" : "#3a3f47");

  // Base64 of gzip: the text of plotly's script.
  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), character => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  function draw(place) {
    const figure = JSON.parse(place.querySelector("script").textContent);
    const layout = {...figure.layout, autosize: true};
    layout.font = {...layout.font, color: ink(false)};
    place.dataset.height = layout.height;
    if (coarse.matches) layout.dragmode = false;  // a finger that scrolls must not zoom
    return Plotly.newPlot(place, figure.data, layout, {displayModeBar: false, responsive: true});
  }

  // Without a width a picture takes its container's; several stand two by two on paper.
  function recolour(onPaper, printed) {
    for (const place of pictures) {
      if (!place.data) continue;
      const width = place.closest(".several") ? (PAPER_WIDTH - 16) / 2 : PAPER_WIDTH;
      const height = Number(place.dataset.height);
      const low = Math.min(height, Math.max(LEAST_HEIGHT, Math.round(height * PAPER_HEIGHT)));
      const shape = printed ? {width, height: low}
        : printed === false ? {width: null, height, autosize: true} : {};
      const buttons = place.layout.updatemenus ? {"updatemenus[0].visible": !onPaper} : {};
      Plotly.relayout(place, {"font.color": ink(onPaper), ...shape, ...buttons});
    }
  }

  function explain() {
    for (const place of pictures) {
      place.style.minHeight = "0";
      place.removeAttribute("role");
      place.innerHTML = "<p>This browser cannot draw the picture; the table has its figures.</p>";
    }
    for (const one of document.querySelectorAll("details.table")) one.open = true;
  }

  async function start() {
    if (pictures.length === 0) return;
    const script = document.createElement("script");
    script.textContent = await unpack(document.getElementById("plotly").textContent);
    document.head.append(script);
    for (const place of pictures) await draw(place);
    dark.addEventListener("change", () => recolour(false));
    addEventListener("beforeprint", () => recolour(true, true));
    addEventListener("afterprint", () => recolour(false, false));
    document.documentElement.dataset.drawn = String(pictures.length);
  }

  start().catch(error => { explain(); console.error(error); });
})();
