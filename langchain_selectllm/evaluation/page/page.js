const data = JSON.parse(document.getElementById("report-data").textContent);
// The interpreter of expressions keeps the page's content policy free of "unsafe-eval".
const options = { config: window.innerWidth < 500 ? narrow(data.config) : data.config, ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip: { disableDefaultStyle: true } };
// On a narrow screen legends stand in one column, and labels leave room for the chart.
function narrow(config) {
  const axis = { ...config.axis, labelFontSize: 11, labelLimit: 118 };
  const legend = { ...config.legend, columns: 1, gradientLength: 90, layout: { top: { anchor: "start", bounds: "full" } } };
  return { ...config, axis, legend, padding: { left: 4, right: 14, top: 4, bottom: 4 } };
}
const views = {};
const drawn = [...document.querySelectorAll("[data-chart]")].map(async (place) => {
  const name = place.dataset.chart;
  views[name] = (await vegaEmbed(place, data.charts[name], options)).view;
  // The place itself is the image with the text alternative; the marks inside have none.
  place.querySelector("svg").setAttribute("aria-hidden", "true");
});

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function startSlider() {
  const box = document.getElementById("threshold");
  if (!box) return;
  const slider = document.getElementById("threshold-slider");
  const output = document.getElementById("threshold-output");
  function show() {
    const point = data.curve[Number(slider.value)];
    const words = `${point.threshold.toFixed(2)}: answers ${percent(point.coverage)} of the queries, ${percent(point.accuracy)} of them right`;
    output.textContent = words;
    slider.setAttribute("aria-valuetext", words);
    if (views.coverage) views.coverage.signal("chosen", Number(slider.value)).runAsync();
  }
  slider.addEventListener("input", show);
  box.hidden = false;
  show();
}

function startFilters() {
  const form = document.getElementById("filters");
  if (!form) return;
  const rows = [...document.querySelectorAll("#queries tbody tr")];
  const category = document.getElementById("filter-category");
  const cause = document.getElementById("filter-cause");
  const text = document.getElementById("filter-text");
  function filter() {
    const needle = text.value.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const kept = (!category.value || row.dataset.category === category.value)
        && (!cause.value || row.dataset.cause === cause.value)
        && row.textContent.toLowerCase().includes(needle);
      row.hidden = !kept;
      shown += kept;
    }
    document.getElementById("filter-output").textContent = `${shown} of ${rows.length} queries shown`;
  }
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();
}

startSlider();
startFilters();
Promise.all(drawn).then(() => { document.documentElement.dataset.ready = "yes"; });
