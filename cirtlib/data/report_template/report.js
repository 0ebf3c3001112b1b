"use strict";
// Draw every figure from the data block beside it. The page's policy lets only this script and plotly.js run.
(function () {
  for (const block of document.querySelectorAll('script[type="application/json"].figure-data')) {
    const holder = document.getElementById(block.dataset.figure);
    const figure = JSON.parse(block.textContent);
    Plotly.newPlot(holder, figure.data, figure.layout, figure.config);
  }
  const resize = function () {
    for (const holder of document.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(holder);
  };
  window.addEventListener("beforeprint", function () {
    // On paper the words of a figure stand open; the table behind it is long, and exported.
    for (const fold of document.querySelectorAll(".behind details:first-of-type")) fold.open = true;
    resize();
  });
  // A citation may point into a folded section: unfold it, so that the target can be seen.
  const reveal = function () {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    target.scrollIntoView();
  };
  window.addEventListener("hashchange", reveal);
  reveal();
  document.documentElement.dataset.figures = "drawn";
})();
