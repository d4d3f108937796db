import { h, svg } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 64;
const HOUR_MS = 3_600_000;

/** The largest number, rounded up to 1, 2 or 5 times a power of ten: the top of the plot. */
function top(values) {
  const most = Math.max(1, ...values);
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= most) ?? most;
}

/**
 * Lines over the last hour. @param points [{ at (ms), values: [one for each series, or null] }]
 * @param series [[name, class]]
 */
export function lines(title, unit, series, points) {
  const now = Date.now();
  const max = top(points.flatMap(({ values }) => values.filter((v) => v !== null)));
  const x = (at) => Math.max(0, WIDTH - ((now - at) / HOUR_MS) * WIDTH);
  const y = (value) => HEIGHT - (value / max) * (HEIGHT - 2) - 1;
  const path = (i) => {
    let pen = "M";
    return points
      .flatMap(({ at, values }) => {
        const value = values[i];
        if (value === null) return ((pen = "M"), []);
        const step = `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
        pen = "L";
        return [step];
      })
      .join("");
  };
  const last = points.at(-1)?.values.map((v) => (v === null ? "–" : `${Math.round(v * 10) / 10}`)) ?? [];
  const label = `${title}: ${series.map(([name], i) => `${name} ${last[i] ?? "–"} ${unit}`).join(", ")}`;
  return h(
    "figure",
    { class: "plot" },
    h(
      "figcaption",
      {},
      h("b", {}, title),
      h(
        "span",
        {},
        series.map(([name, kind], i) => h("span", { class: `key ${kind}` }, `${name} ${last[i] ?? "–"}`)),
        ` ${unit}`,
      ),
    ),
    points.length === 0
      ? h("p", { class: "quiet" }, "The worker notes one point a minute: none yet.")
      : svg(
          "svg",
          { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
          svg("path", { class: "axis", d: `M0 ${HEIGHT - 0.5}H${WIDTH}M0 0.5H${WIDTH}` }),
          series.map(([, kind], i) => svg("path", { class: kind, d: path(i) })),
        ),
    h("p", { class: "scale" }, h("span", {}, "1 h ago"), h("span", {}, `top: ${max} ${unit}`), h("span", {}, "now")),
  );
}

const shade = (percent) => (percent === null ? "none" : percent >= 99.9 ? "good" : percent >= 90 ? "fair" : "bad");

/** One bar for each hour. @param hours [{ at, ready_percent }] */
export function bars(title, hours) {
  const bad = hours.filter(({ ready_percent }) => ready_percent !== null && shade(ready_percent) !== "good").length;
  const said = bad === 0 ? "each hour" : `each hour; ${bad} of 24 not all of it`;
  const width = WIDTH / hours.length;
  return h(
    "figure",
    { class: "plot" },
    h("figcaption", {}, h("b", {}, title), h("span", {}, said)),
    svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": `${title}: ${said}`,
      },
      hours.map(({ at, ready_percent }, i) => {
        const height = ready_percent === null ? 3 : Math.max(3, (ready_percent / 100) * HEIGHT);
        const bar = { x: i * width + 1, y: HEIGHT - height, width: width - 2, height, class: shade(ready_percent) };
        return svg(
          "rect",
          bar,
          svg("title", {}, `${at}: ${ready_percent === null ? "not measured" : `${ready_percent.toFixed(1)} %`}`),
        );
      }),
    ),
    h("p", { class: "scale" }, h("span", {}, "24 h ago"), h("span", {}, "now")),
  );
}
