import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** The slowest files: begun first, so that none of them is left over for one worker at the end. */
const SLOW = /\/(?:model|outage|conform|recovery|replay|redis-faults|cluster)\.test\.ts$/;

const rank = ({ moduleId }: TestSpecification) => (SLOW.test(moduleId) ? 0 : 1);

class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    globalSetup: ["test/support/global.ts"],
    // Two cores: the processes under test need them as much as the tests do.
    maxWorkers: 2,
    sequence: { sequencer: SlowFirst },
    testTimeout: 20_000,
    hookTimeout: 30_000,
    retry: 0,
    allowOnly: false,
    projects: [
      {
        extends: true,
        test: {
          name: "node",
          include: ["test/unit/**/*.test.ts", "test/integration/**/*.test.ts"],
          exclude: ["test/integration/edge.test.ts"],
          provide: { host: "node" },
        },
      },
      {
        // The same files once more, with the functions in workerd. A difference between the two is a failure.
        extends: true,
        test: {
          name: "edge",
          include: [
            "access",
            "http",
            "commands",
            "redis-faults",
            "dead-letters",
            "sealed",
            "tls",
            "cluster",
            "asyncapi",
            "hygiene",
            "audit",
            "events-stream",
            "stream-cuts",
            "state",
            "limits",
            "metrics",
            "edge",
            "admin-page",
            "admin-actions",
            "traces",
          ].map((n) => `test/integration/${n}.test.ts`),
          provide: { host: "edge" },
          // The first test of a file waits for workerd: a second or two, and many more on a machine that is busy.
          testTimeout: 60_000,
        },
      },
    ],
  },
});
