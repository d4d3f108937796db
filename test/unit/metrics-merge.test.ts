import { expect, test } from "vitest";
import { mergeExpositions } from "../../shared/metrics/merge.ts";

const text = (value: number) => `# HELP a Help of a.
# TYPE a gauge
a ${value}
# HELP b_seconds Help of b.
# TYPE b_seconds histogram
b_seconds_bucket{le="1"} ${value}
b_seconds_count{} ${value}
`;

test("the metrics of several CADs stand together, each once with its help and type, each sample with its CAD", () => {
  const merged = mergeExpositions([
    { labels: { cad: "n" }, text: text(1) },
    { labels: { cad: "s" }, text: text(2) },
    { labels: {}, text: "# TYPE c counter\nc 3\n" },
  ]);
  expect(merged.split("\n")).toEqual([
    "# HELP a Help of a.",
    "# TYPE a gauge",
    'a{cad="n"} 1',
    'a{cad="s"} 2',
    "# HELP b_seconds Help of b.",
    "# TYPE b_seconds histogram",
    'b_seconds_bucket{cad="n",le="1"} 1',
    'b_seconds_count{cad="n"} 1',
    'b_seconds_bucket{cad="s",le="1"} 2',
    'b_seconds_count{cad="s"} 2',
    "# TYPE c counter",
    "c 3",
    "",
  ]);
});

test("nothing merged is nothing", () => {
  expect(mergeExpositions([])).toBe("");
});
